//! Where interventions may appear: laid over the page, or in the room that the cart keeps for them; nothing moves.
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

/** In the cart a card stands in for what is said here, so that it covers nothing that somebody needs for buying. */
export class CartSlots extends Component {
  override shouldComponentUpdate(): boolean {
    return false;
  }
  override render() {
    return (
      <aside class="cart-slots" aria-label="Good to know">
        <p>
          <b>No hurry.</b> Your cart is kept as you leave it, and delivery is free.
        </p>
        <div data-midsession-slot="nudge"></div>
        <div data-midsession-slot="chat"></div>
      </aside>
    );
  }
}
