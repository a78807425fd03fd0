//! Brand, search, categories, account and cart.
import { useLocation } from "preact-iso";
import { categories, slug } from "../catalog.ts";
import { itemCount, user } from "../state.ts";
import { drawerOpen } from "./drawer.tsx";
import { Icon } from "./icon.tsx";

export function Header() {
  const { path, query, route } = useLocation();
  const find = (event: SubmitEvent) => {
    event.preventDefault();
    const q = String(new FormData(event.currentTarget as HTMLFormElement).get("q") ?? "").trim();
    if (q) route(`/shop/search?q=${encodeURIComponent(q)}`);
  };
  const count = itemCount.value;
  return (
    <header class="top">
      <div class="top-row wrap">
        <a class="brand" href="/shop/">
          Halden
        </a>
        <form class="find" role="search" action="/shop/search" onSubmit={find}>
          <Icon name="search" />
          <label class="hidden" for="q">
            Search the shop
          </label>
          <input id="q" name="q" type="search" placeholder="Search lamps, mugs, rugs…" autocomplete="off" defaultValue={path === "/shop/search" ? (query["q"] ?? "") : ""} />
        </form>
        <div class="tools">
          <button type="button" class="tool" aria-label="Your events" title="Your events" onClick={() => (drawerOpen.value = true)}>
            <Icon name="pulse" />
          </button>
          <a class="tool" href="/shop/sign-in">
            <Icon name="user" />
            <span>
              {user.value && <span class="hidden">Account of </span>}
              {user.value?.name ?? "Sign in"}
            </span>
          </a>
          <a class="tool" href="/shop/cart">
            <Icon name="bag" />
            <span>Cart</span>
            {count > 0 && (
              <b class="count">
                {count}
                <span class="hidden">{count === 1 ? " item" : " items"}</span>
              </b>
            )}
          </a>
        </div>
      </div>
      <nav class="cats wrap" aria-label="Categories">
        {categories.map((category) => {
          const href = `/shop/category/${slug(category)}`;
          return (
            <a key={category} href={href} aria-current={path === href ? "page" : undefined}>
              {category}
            </a>
          );
        })}
      </nav>
    </header>
  );
}
