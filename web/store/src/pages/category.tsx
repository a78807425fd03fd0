//! Everything of one category, in the order the visitor likes.
import { useState } from "preact/hooks";
import { inCategory, type Product } from "../catalog.ts";
import { ProductGrid } from "../parts/cards.tsx";
import { usePage } from "../parts/page.ts";

const orders: Record<string, { label: string; compare: (a: Product, b: Product) => number }> = {
  picked: { label: "Our order", compare: () => 0 },
  low: { label: "Price, low to high", compare: (a, b) => a.price - b.price },
  high: { label: "Price, high to low", compare: (a, b) => b.price - a.price },
};

export function CategoryPage({ category }: { category: string }) {
  usePage(category);
  const [order, setOrder] = useState("picked");
  const items = inCategory(category).sort(orders[order]?.compare);
  return (
    <section class="wrap section">
      <div class="title-row">
        <h1>{category}</h1>
        <div>
          <label for="order">Sort by</label>
          <select id="order" value={order} onChange={(event) => setOrder(event.currentTarget.value)}>
            {Object.entries(orders).map(([key, { label }]) => (
              <option key={key} value={key}>
                {label}
              </option>
            ))}
          </select>
        </div>
      </div>
      <ProductGrid list={category} items={items} level={2} />
    </section>
  );
}
