//! Asks once what may be recorded; the answer can be changed from the footer.
import { signal } from "@preact/signals";
import { consent, type ConsentMode } from "../state.ts";

export const consentOpen = signal(false);

export function ConsentBanner() {
  if (consent.value !== null && !consentOpen.value) return null;
  const choose = (mode: ConsentMode) => () => {
    consent.value = mode;
    consentOpen.value = false;
  };
  return (
    <section class="consent" aria-label="Privacy choice">
      <div class="consent-text">
        <h2>May we follow along?</h2>
        <p>
          With a yes, the shop reacts while you browse: a reminder, an offer, a way to reach us. Counting only means no cookie and no offers. No
          name, e-mail or address is ever recorded.
        </p>
      </div>
      <div class="consent-choices">
        <button type="button" class="button" onClick={choose("full")}>
          Yes, allow
        </button>
        <button type="button" class="button quiet" onClick={choose("cookieless")}>
          Counting only
        </button>
        <button type="button" class="button quiet" onClick={choose("none")}>
          No, nothing
        </button>
      </div>
    </section>
  );
}
