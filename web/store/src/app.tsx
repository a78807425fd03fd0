//! The frame around every page: routes, header, footer, and the slots into which interventions are painted.
import { LocationProvider, useLocation } from "preact-iso";
import { useEffect, useRef } from "preact/hooks";
import { bySlug, byId } from "./catalog.ts";
import { ConsentBanner } from "./parts/consent.tsx";
import { ContactPanel, contactOpen } from "./parts/contact.tsx";
import { EventsDrawer } from "./parts/drawer.tsx";
import { Footer } from "./parts/footer.tsx";
import { Header } from "./parts/header.tsx";
import { Slots } from "./parts/slots.tsx";
import { CartPage } from "./pages/cart.tsx";
import { CategoryPage } from "./pages/category.tsx";
import { CheckoutPage, ThanksPage } from "./pages/checkout.tsx";
import { Home } from "./pages/home.tsx";
import { NotFound } from "./pages/not-found.tsx";
import { ProductPage } from "./pages/product.tsx";
import { SearchPage } from "./pages/search.tsx";
import { SignInPage } from "./pages/sign-in.tsx";

/** The tracker's links are absolute; those into the shop need no reload either. */
const scope = /^(https?:\/\/[^/]+)?\/shop(\/|$)/;

function Page() {
  const { path, query } = useLocation();
  const [, , first = "", second = ""] = path.split("/");
  switch (first) {
    case "":
      return <Home />;
    case "category": {
      const category = bySlug(second);
      return category ? <CategoryPage key={category} category={category} /> : <NotFound />;
    }
    case "product": {
      const product = byId(second);
      return product ? <ProductPage key={product.id} product={product} /> : <NotFound />;
    }
    case "search":
      return <SearchPage query={query["q"] ?? ""} />;
    case "cart":
      return <CartPage offeredCode={query["code"] ?? ""} />;
    case "checkout":
      return <CheckoutPage />;
    case "thank-you":
      return <ThanksPage />;
    case "sign-in":
      return <SignInPage />;
    case "contact":
      return <Home contact />;
    default:
      return <NotFound />;
  }
}

function Frame() {
  const { path, url } = useLocation();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  useEffect(() => {
    // What the chat offer links to, from whichever page it is on.
    const follow = () => {
      if (location.hash !== "#contact") return;
      contactOpen.value = true;
      history.replaceState(null, "", location.pathname + location.search);
    };
    follow();
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, [url]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Header />
      <main id="main" ref={main} tabIndex={-1}>
        <Page />
      </main>
      <Footer />
      <Slots />
      <ContactPanel />
      <EventsDrawer />
      <ConsentBanner />
    </>
  );
}

export function App() {
  return (
    <LocationProvider scope={scope}>
      <Frame />
    </LocationProvider>
  );
}
