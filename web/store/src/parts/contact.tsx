//! How to reach the people behind the shop: what the chat offer opens.
import { signal } from "@preact/signals";
import { Dialog } from "./dialog.tsx";

export const contactOpen = signal(false);

export function ContactPanel() {
  return (
    <Dialog open={contactOpen} title="Talk to us" class="contact">
      <p>A person answers; there is no bot behind this.</p>
      <dl>
        <div>
          <dt>Write</dt>
          <dd>
            <a href="mailto:hello@halden.example">hello@halden.example</a>
            <span>answered the same working day</span>
          </dd>
        </div>
        <div>
          <dt>Call</dt>
          <dd>
            <a href="tel:+4900000000">+49 000 0000</a>
            <span>Monday to Friday, 9:00 to 17:00</span>
          </dd>
        </div>
      </dl>
      <p class="small">This is a demo shop: neither the address nor the number exists.</p>
    </Dialog>
  );
}
