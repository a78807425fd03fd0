//! The shop's products, and the few questions the pages ask about them.
import rows from "../public/catalog.json";

export interface Product {
  id: string;
  name: string;
  category: string;
  brand: string;
  price: number;
  currency: string;
  description: string;
}

export const products: readonly Product[] = rows;
export const categories: readonly string[] = [...new Set(products.map((p) => p.category))];
export const currency = "EUR";

export const byId = (id: string): Product | undefined => products.find((p) => p.id === id);
export const slug = (category: string): string => category.toLowerCase();
export const bySlug = (s: string): string | undefined => categories.find((c) => slug(c) === s);
export const inCategory = (category: string): Product[] => products.filter((p) => p.category === category);

/** Others of the same category first, then of the same brand. */
export function related(product: Product, limit: number): Product[] {
  const rank = (p: Product) => (p.category === product.category ? 0 : 2) + (p.brand === product.brand ? 0 : 1);
  return products
    .filter((p) => p.id !== product.id)
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, limit);
}

/** Every word must occur in the name, category, brand or description. */
export function search(query: string): Product[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  return products.filter((p) => {
    const text = `${p.name} ${p.category} ${p.brand} ${p.description}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

const format = new Intl.NumberFormat("en-IE", { style: "currency", currency });
export const money = (value: number): string => format.format(value);
