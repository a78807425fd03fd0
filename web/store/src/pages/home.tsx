//! The front page: one promotion, what is new, the categories.
import { useEffect } from "preact/hooks";
import { byId, categories, inCategory, products, slug, type Product } from "../catalog.ts";
import { Art } from "../parts/art.tsx";
import { ProductGrid } from "../parts/cards.tsx";
import { contactOpen } from "../parts/contact.tsx";
import { usePage } from "../parts/page.ts";
import { track } from "../tracking/index.ts";

const promotion = { id: "evening-light", name: "Evening light" };
const fresh = ["alba-table-lamp", "dune-vase", "fjord-wool-throw", "pour-over-kettle", "mist-mug", "moss-rug", "desk-clock", "oak-board"]
  .map(byId)
  .filter((p): p is Product => p !== undefined);

export function Home({ contact = false }: { contact?: boolean }) {
  usePage("Things for quiet rooms");
  useEffect(() => track("promo_view", { promotion }), []);
  useEffect(() => {
    if (contact) contactOpen.value = true;
  }, [contact]);
  return (
    <>
      <section class="hero wrap">
        <div class="hero-text">
          <h1>Things for quiet rooms</h1>
          <p class="lead">Lamps that dim to candlelight, and {products.length - 5} other objects made to be used every day.</p>
          <a class="button" href="/shop/category/lighting" onClick={() => track("promo_click", { promotion })}>
            See the lamps
          </a>
        </div>
        <div class="hero-art">
          <Art id="orbit-pendant" />
          <Art id="dune-vase" />
          <Art id="alba-table-lamp" />
        </div>
      </section>
      <section class="wrap section">
        <h2>New this season</h2>
        <ProductGrid list="New this season" items={fresh} />
      </section>
      <section class="wrap section">
        <h2>By room and use</h2>
        <ul class="tiles">
          {categories.map((category) => (
            <li key={category}>
              <a href={`/shop/category/${slug(category)}`}>
                <Art id={inCategory(category)[0]?.id ?? ""} />
                <span>{category}</span>
                <small>{inCategory(category).length} things</small>
              </a>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
