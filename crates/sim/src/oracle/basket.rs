//! What is in a cart, piece by piece and in thousandths, from the acts in their order of time.

use crate::oracle::{Act, in_full, mills};

/// What is in a cart.
#[derive(Clone, Debug, PartialEq)]
pub struct Basket {
    /// Worth; none while a price in it is unknown or currencies are mixed.
    pub value: Option<f64>,
    /// Currency of what is in.
    pub currency: Option<String>,
    /// Pieces.
    pub size: i64,
    /// Ever filled.
    pub touched: bool,
}

/// One piece that was put in. Thousandths.
struct Piece {
    product: String,
    currency: Option<String>,
    mills: Option<i64>,
}

/// All that is in of one currency.
struct Pot {
    currency: Option<String>,
    mills: i64,
    pieces: i64,
    /// Pieces of unknown price.
    blanks: i64,
    /// Nobody knows any more.
    is_lost: bool,
    /// Of all of it the tracker said the worth once.
    is_told: bool,
}

#[derive(Default)]
struct Contents {
    pieces: Vec<Piece>,
    pots: Vec<Pot>,
    size: i64,
    is_touched: bool,
    /// Of what was touched last.
    currency: Option<String>,
}

/// The cart after these acts.
pub(super) fn of<'a>(acts: impl Iterator<Item = &'a Act>) -> Basket {
    let mut all = Contents::default();
    for act in acts {
        let nameless = super::act::Piece { quantity: 1, ..super::act::Piece::default() };
        let listed = if act.pieces.is_empty() { std::slice::from_ref(&nameless) } else { &act.pieces };
        match act.name.as_str() {
            "add_to_cart" => listed.iter().for_each(|piece| all.put(piece)),
            "remove_from_cart" => listed.iter().for_each(|piece| all.remove(piece)),
            "transaction" => {
                all = Contents { is_touched: all.is_touched, currency: all.basket().currency, ..Contents::default() };
            }
            _ => {}
        }
        // What an order says is what was bought.
        if let Some((total, currency)) = act.cart_total.as_ref().filter(|_| act.name != "transaction") {
            all.tell(mills(*total), currency.as_ref());
        }
    }
    all.basket()
}

impl Contents {
    fn pot(&mut self, currency: Option<&String>) -> Option<&mut Pot> {
        self.pots.iter_mut().find(|pot| pot.currency.as_ref() == currency)
    }

    /// What says no currency is in that of the rest; what is in without one is in that of what comes.
    fn currency_of(&mut self, said: Option<&String>) -> Option<String> {
        self.throw_out();
        if said.is_none() && !self.pots.is_empty() {
            return self.basket().currency;
        }
        if let Some(pot) = self.pots.iter_mut().find(|pot| pot.currency.is_none()) {
            pot.currency = said.cloned();
            for piece in self.pieces.iter_mut().filter(|piece| piece.currency.is_none()) {
                piece.currency = said.cloned();
            }
        }
        said.cloned()
    }

    fn put(&mut self, piece: &super::act::Piece) {
        let (mills, currency) = (piece.price.map(mills), self.currency_of(piece.currency.as_ref()));
        if self.pot(currency.as_ref()).is_none() {
            let currency = currency.clone();
            self.pots.push(Pot { currency, mills: 0, pieces: 0, blanks: 0, is_lost: false, is_told: false });
        }
        for _ in 0..piece.quantity {
            self.pieces.push(Piece { product: piece.id.clone(), currency: currency.clone(), mills });
            if let Some(pot) = self.pot(currency.as_ref()) {
                pot.pieces += 1;
                pot.mills += mills.unwrap_or(0);
                pot.blanks += i64::from(mills.is_none());
            }
            self.size += 1;
        }
        self.is_touched = true;
        self.currency = currency;
    }

    fn remove(&mut self, piece: &super::act::Piece) {
        let said_in = self.currency_of(piece.currency.as_ref());
        self.currency.clone_from(&said_in);
        for _ in 0..piece.quantity {
            self.size = (self.size - 1).max(0);
            let is_it = |known: &Piece| !piece.id.is_empty() && known.product == piece.id;
            let own = self.pieces.iter().rposition(|known| is_it(known) && known.currency == said_in);
            let Some(at) = own.or_else(|| self.pieces.iter().rposition(is_it)) else {
                self.take(said_in.as_ref(), piece.price.map(mills), false);
                continue;
            };
            let known = self.pieces.remove(at);
            let said = piece.price.map(mills).filter(|_| known.currency == said_in);
            self.take(known.currency.as_ref(), said.or(known.mills), known.mills.is_none());
            self.currency = known.currency;
        }
        if self.size == 0 {
            self.pieces.clear();
            self.pots.retain(|pot| pot.is_told);
            for pot in &mut self.pots {
                (pot.pieces, pot.blanks) = (0, 0);
            }
        }
        self.throw_out();
    }

    fn take(&mut self, currency: Option<&String>, mills: Option<i64>, was_blank: bool) {
        match (self.pot(currency), mills) {
            (None, _) => self.pots.iter_mut().for_each(|pot| pot.is_lost = true),
            (Some(pot), mills) => {
                pot.pieces = (pot.pieces - 1).max(0);
                if was_blank && pot.blanks > 0 {
                    pot.blanks -= 1;
                } else if let Some(mills) = mills {
                    pot.mills = (pot.mills - mills).max(0);
                } else {
                    pot.is_lost = true;
                }
            }
        }
    }

    fn tell(&mut self, mills: i64, currency: Option<&String>) {
        let (pieces, currency) = (self.size, self.currency_of(currency));
        self.pieces.retain(|piece| pieces > 0 && piece.currency == currency);
        self.pots = vec![Pot { currency: currency.clone(), mills, pieces, blanks: 0, is_lost: false, is_told: true }];
        self.is_touched = true;
        self.currency = currency;
    }

    /// Pots with nothing in them, and the pieces that were in them.
    fn throw_out(&mut self) {
        self.pots.retain(|pot| pot.pieces > 0 || pot.is_told && (pot.mills > 0 || pot.is_lost));
        let pots = &self.pots;
        self.pieces.retain(|piece| pots.iter().any(|pot| pot.currency == piece.currency));
    }

    fn basket(&self) -> Basket {
        let (currency, value) = match self.pots.as_slice() {
            [] => (&self.currency, Some(0.0)),
            [pot] => (&pot.currency, (pot.blanks == 0 && !pot.is_lost).then(|| in_full(pot.mills))),
            _ => (&self.currency, None),
        };
        Basket { value, currency: currency.clone(), size: self.size, touched: self.is_touched }
    }
}
