//! What the shop has for a few words.
import { useEffect } from "preact/hooks";
import { categories, search, slug } from "../catalog.ts";
import { ProductGrid } from "../parts/cards.tsx";
import { usePage } from "../parts/page.ts";
import { track } from "../tracking/index.ts";

export function SearchPage({ query }: { query: string }) {
  const text = query.trim().slice(0, 100);
  usePage(text ? `Search: ${text}` : "Search");
  useEffect(() => {
    if (text) track("search", { query: text });
  }, [text]);
  const found = search(text);
  return (
    <section class="wrap section">
      <div class="title-row">
        <h1>{text ? <>Results for “{text}”</> : "Search"}</h1>
        <p class="small" role="status">
          {found.length === 1 ? "1 thing" : `${found.length} things`}
        </p>
      </div>
      {found.length > 0 ? (
        <ProductGrid list="Search results" items={found} level={2} />
      ) : (
        <div class="empty">
          <p>{text ? "Nothing here by that name. Try a material, a room, or one of these:" : "Type a few words above, or start here:"}</p>
          <p class="chips">
            {categories.map((category) => (
              <a key={category} class="chip" href={`/shop/category/${slug(category)}`}>
                {category}
              </a>
            ))}
          </p>
        </div>
      )}
    </section>
  );
}
