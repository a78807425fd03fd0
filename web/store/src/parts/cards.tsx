//! A named list of products: says it was seen, says which one was clicked.
import { useEffect } from "preact/hooks";
import { money, type Product } from "../catalog.ts";
import { track, tracked } from "../tracking/index.ts";
import { Art } from "./art.tsx";

export function ProductGrid({ list, items, level = 3 }: { list: string; items: readonly Product[]; level?: 2 | 3 }) {
  const ids = items.map((p) => p.id).join();
  const seen = items.map((p, index) => tracked(p, { position: index + 1 }));
  useEffect(() => {
    if (seen.length > 0) track("list_view", { list, products: seen });
  }, [list, ids]);
  const Heading = `h${level}` as "h2" | "h3";
  return (
    <ul class="grid">
      {items.map((product, index) => (
        <li key={product.id} class="card">
          <Art id={product.id} />
          <div class="card-text">
            <Heading>
              <a href={`/shop/product/${product.id}`} onClick={() => track("list_click", { list, products: [tracked(product, { position: index + 1 })] })}>
                {product.name}
              </a>
            </Heading>
            <p class="price">{money(product.price)}</p>
          </div>
          <p class="small">{product.brand}</p>
        </li>
      ))}
    </ul>
  );
}
