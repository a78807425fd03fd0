//! The frame: navigation, connection, theme; and the screen that the address names.
import { Component, type ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { signedOut } from "./api.ts";
import { link } from "./live.ts";
import { Icon } from "./parts/icon.tsx";
import { Message } from "./parts/bits.tsx";
import { href, route, screens, type Screen } from "./route.ts";
import { BudgetScreen } from "./screens/budget.tsx";
import { DeadLettersScreen } from "./screens/dead-letters.tsx";
import { FeaturesScreen } from "./screens/features.tsx";
import { InterventionsScreen } from "./screens/interventions.tsx";
import { OverviewScreen } from "./screens/overview.tsx";
import { SessionsScreen } from "./screens/sessions.tsx";
import { nextTheme } from "./theme.ts";

const titles: Record<Screen, string> = {
  overview: "Overview",
  sessions: "Sessions",
  interventions: "Interventions",
  "dead-letters": "Dead letters",
  budget: "Latency",
  features: "Features",
};
const bodies: Record<Screen, () => ComponentChildren> = {
  overview: () => <OverviewScreen />,
  sessions: () => <SessionsScreen />,
  interventions: () => <InterventionsScreen />,
  "dead-letters": () => <DeadLettersScreen />,
  budget: () => <BudgetScreen />,
  features: () => <FeaturesScreen />,
};

/** One broken screen leaves the others usable. */
class Guard extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };
  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ failed: true });
  }
  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <Message tone="bad" title="This screen could not be drawn" whole>
        <p>The server sent something this console does not understand. The other screens still work.</p>
        <button type="button" class="button" onClick={() => this.setState({ failed: false })}>
          Try again
        </button>
      </Message>
    );
  }
}

function Connection() {
  const words = { connecting: "Connecting", live: "Live", lost: "Reconnecting" } as const;
  return (
    <p class={`link link-${link.value}`} role="status">
      <span class="dot" aria-hidden="true" />
      {words[link.value]}
    </p>
  );
}

export function App() {
  const { screen, id } = route.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = `${titles[screen]} · midsession`;
    scrollTo(0, 0);
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [screen]);
  useEffect(() => {
    const jump = (event: KeyboardEvent) => {
      const target = screens[Number(event.key) - 1];
      if (event.altKey && !event.ctrlKey && !event.metaKey && target) {
        event.preventDefault();
        location.hash = href(target);
      }
    };
    addEventListener("keydown", jump);
    return () => removeEventListener("keydown", jump);
  }, []);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <header class="side">
        <a class="brand" href={href("overview")}>
          <Icon name="pulse" />
          midsession
        </a>
        <nav aria-label="Screens">
          {screens.map((name, index) => (
            <a key={name} href={href(name)} aria-current={name === screen ? "page" : undefined} title={`${titles[name]} (Alt+${index + 1})`}>
              <Icon name={name} />
              <span>{titles[name]}</span>
            </a>
          ))}
        </nav>
        <div class="side-end">
          <Connection />
          <button type="button" class="icon-button" onClick={nextTheme} aria-label="Switch between light and dark" title="Light or dark">
            <Icon name="theme" />
          </button>
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1} class={`screen screen-${screen}${id === null ? "" : " has-id"}`}>
        {signedOut.value ? (
          <Message tone="warn" title="This browser is not signed in" whole>
            <p>
              Open the console by the link that <code>midsession demo</code> or <code>midsession serve</code> printed: it carries the token that
              signs you in. If the server was started again, it has printed a new one.
            </p>
          </Message>
        ) : (
          <Guard key={screen}>{bodies[screen]()}</Guard>
        )}
      </main>
    </div>
  );
}
