//! Where a shopper or a session is, by any id that they are known under: for reads of now and of the past alike.

use midsession_event::{SessionId, ShopperId, Str};
use midsession_stream::Stream;

/// What a partition knows of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// At home here.
    Here(ShopperId),
    /// A visitor who is signed in: the user's home has all of it.
    Moved(Str),
    /// Nobody of this id is known here.
    Nobody,
}

/// A user by their id; else a visitor, who may have become a user.
pub fn shopper(stream: &Stream, id: &str, now_ms: i64) -> Found {
    let user = ShopperId::User(id.into());
    if stream.view(&user, now_ms).is_some() {
        return Found::Here(user);
    }
    let visitor = ShopperId::Visitor(id.into());
    if let Some(ShopperId::User(user)) = stream.user_of(&visitor) {
        return Found::Moved(user.0);
    }
    if stream.view(&visitor, now_ms).is_some() { Found::Here(visitor) } else { Found::Nobody }
}

/// A session by our id, or the tracker's.
pub fn session(stream: &Stream, id: &str) -> Option<SessionId> {
    let ours = id.parse().ok().filter(|session| stream.session_view(*session, 0).is_some());
    ours.or_else(|| stream.resolve_tracker_session(id))
}
