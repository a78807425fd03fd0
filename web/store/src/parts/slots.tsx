//! Where interventions may appear: laid over the page, so that nothing under them moves.
import { Component } from "preact";

/** Never rendered again: what the tracker paints inside is not Preact's to touch. */
export class Slots extends Component {
  override shouldComponentUpdate(): boolean {
    return false;
  }
  override render() {
    return (
      <aside class="slots" aria-label="Messages from the shop">
        <div data-midsession-slot="offer"></div>
        <div data-midsession-slot="nudge"></div>
        <div data-midsession-slot="chat"></div>
      </aside>
    );
  }
}
