//! What this shop is, and the two settings a visitor may change: the tracker and the consent.
import { consent, trackerChoice } from "../state.ts";
import { consentOpen } from "./consent.tsx";
import { contactOpen } from "./contact.tsx";
import { drawerOpen } from "./drawer.tsx";

const consentWords = { full: "everything", cookieless: "counting only", none: "nothing" } as const;

export function Footer() {
  const choose = (event: Event) => {
    trackerChoice.value = (event.currentTarget as HTMLSelectElement).value === "snowplow" ? "snowplow" : "midsession";
    // A page runs one tracker for its whole life.
    location.reload();
  };
  const mode = consent.value;
  return (
    <footer class="foot">
      <div class="wrap foot-grid">
        <div>
          <p class="foot-brand">Halden</p>
          <p>A demo shop. Nothing here is sold, charged or shipped; what you click is real input for the product that runs it.</p>
        </div>
        <div class="foot-set">
          <label for="tracker">Tracker on this page</label>
          <select id="tracker" value={trackerChoice.value} onChange={choose}>
            <option value="midsession">midsession</option>
            <option value="snowplow">Snowplow, unmodified</option>
          </select>
        </div>
        <div class="foot-set">
          <span>You allow {mode ? consentWords[mode] : "nothing yet"}</span>
          <button type="button" class="link" onClick={() => (consentOpen.value = true)}>
            Change privacy choice
          </button>
        </div>
        <div class="foot-set">
          <button type="button" class="link" onClick={() => (contactOpen.value = true)}>
            Contact
          </button>
          <button type="button" class="link" onClick={() => (drawerOpen.value = true)}>
            Your events
          </button>
        </div>
      </div>
    </footer>
  );
}
