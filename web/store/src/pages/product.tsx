//! One product: its picture, its price, the way into the cart.
import { useEffect, useState } from "preact/hooks";
import { money, related, slug, type Product } from "../catalog.ts";
import { Art } from "../parts/art.tsx";
import { ProductGrid } from "../parts/cards.tsx";
import { usePage } from "../parts/page.ts";
import { cart, setQuantity } from "../state.ts";
import { cartNow, track, tracked } from "../tracking/index.ts";

export function ProductPage({ product }: { product: Product }) {
  usePage(product.name);
  const [quantity, setWanted] = useState(1);
  const [added, setAdded] = useState(0);
  useEffect(() => track("product_view", { products: [tracked(product)] }), [product.id]);
  const add = () => {
    setQuantity(product.id, (cart.peek().quantities[product.id] ?? 0) + quantity);
    track("add_to_cart", { products: [tracked(product, { quantity })], cart: cartNow() });
    setAdded(added + quantity);
  };
  return (
    <>
      <article class="wrap product">
        <Art id={product.id} />
        <div class="product-text">
          <nav class="crumbs" aria-label="You are here">
            <a href="/shop/">Shop</a>
            <a href={`/shop/category/${slug(product.category)}`}>{product.category}</a>
          </nav>
          <h1>{product.name}</h1>
          <p class="small">by {product.brand}</p>
          <p class="price big">{money(product.price)}</p>
          <p class="lead">{product.description}</p>
          <div class="buy">
            <label class="hidden" for="quantity">
              Quantity
            </label>
            <select id="quantity" value={quantity} onChange={(event) => setWanted(Number(event.currentTarget.value))}>
              {[1, 2, 3, 4, 5].map((n) => (
                <option key={n} value={n}>
                  {n}
                </option>
              ))}
            </select>
            <button type="button" class="button" onClick={add}>
              Add to cart
            </button>
          </div>
          <p class="added" role="status">
            {added > 0 && (
              <>
                In your cart. <a href="/shop/cart">Go to the cart</a>
              </>
            )}
          </p>
          <ul class="facts">
            <li>Free delivery in 2 to 4 days</li>
            <li>30 days to change your mind</li>
          </ul>
        </div>
      </article>
      <section class="wrap section">
        <h2>Goes well with it</h2>
        <ProductGrid list="Goes well with it" items={related(product, 4)} />
      </section>
    </>
  );
}
