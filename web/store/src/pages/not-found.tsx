//! A page that is not there.
import { usePage } from "../parts/page.ts";

export function NotFound() {
  usePage("Not found");
  return (
    <section class="wrap section empty">
      <h1>This shelf is empty</h1>
      <p>The page you asked for is not here, or not any more.</p>
      <a class="button" href="/shop/">
        Back to the shop
      </a>
    </section>
  );
}
