//! What is known of a session without any definition: one row each, read from the session itself.

use crate::Val;
use crate::expr::Type;
use midsession_machine::{Session, View};

/// A value of the session itself.
pub(crate) struct BuiltIn {
    pub name: &'static str,
    pub ty: Type,
    pub get: for<'a> fn(&View<'a>, &'a Session) -> Val<'a>,
}

macro_rules! rows {
    ($view:ident, $session:ident: $($name:literal $ty:ident $get:expr;)*) => {
        &[$(BuiltIn { name: $name, ty: Type::$ty, get: |$view, $session| {
            let _ = ($view, $session); // A row may need one of them only.
            $get
        } },)*]
    };
}

#[rustfmt::skip]
pub(crate) static BUILT_INS: &[BuiltIn] = rows! { view, session:
    "cart_value" Float session.cart.value.filter(|_| session.cart.touched).map_or(Val::Absent, Val::number);
    "cart_size" Int Val::Int(session.cart.size);
    "checkout_step" Int Val::Int(i64::from(session.checkout_step));
    "duration_ms" Int Val::Int(session.duration_ms());
    "page_count" Int Val::Int(session.page_views);
    "bounce" Bool Val::Bool(session.page_views < 2);
    "idle_ms" Int idle_ms(view);
    "cart_view_ratio" Float cart_view_ratio(session);
    "device_class" Text Val::text(session.device_class.as_ref().map(|said| &said.text));
    "campaign" Text Val::text(session.campaign.as_ref().map(|said| &said.text));
};

/// Silence so far; absent before the shopper's first own event.
fn idle_ms<'a>(view: &View<'a>) -> Val<'a> {
    match view.last_stamp_ms {
        i64::MIN => Val::Absent,
        last_stamp_ms => Val::Int(view.now_ms.saturating_sub(last_stamp_ms)),
    }
}

/// Adds per product view; absent where nothing was viewed.
fn cart_view_ratio<'a>(session: &Session) -> Val<'a> {
    match session.product_views {
        0 => Val::Absent,
        views => Val::Float(session.add_to_carts as f64 / views as f64),
    }
}
