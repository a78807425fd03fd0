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

/// A session by our id, or the tracker's, with how near it is to what is asked for: the same id may lead to sessions in several
/// partitions. Ours comes first, whatever a client says that its tracker's is; then who carries it now; then who was heard of
/// last.
pub fn session(stream: &Stream, id: &str, now_ms: i64) -> Option<(i64, SessionId)> {
    /// Later than any stamp.
    const CARRIES_IT: i64 = 1 << 60;
    if let Some(ours) = id.parse().ok().filter(|session| stream.session_view(*session, now_ms).is_some()) {
        return Some((i64::MAX, ours));
    }
    let session = stream.resolve_tracker_session(id)?;
    let known = stream.session_view(session, now_ms)?.session?;
    let carries_it = known.tracker_session_id.as_deref() == Some(id);
    Some((known.last_stamp_ms + i64::from(carries_it) * CARRIES_IT, session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::{Event, EventName, PartitionId, Record};
    use midsession_machine::Definitions;
    use midsession_stream::{Config, Seam};

    struct Nothing;
    impl Definitions for Nothing {}

    const NOW_MS: i64 = 1_700_000_000_000;

    /// A page view under this id of a tracker; its session.
    fn views(stream: &mut Stream, visitor: &str, tracker: &str, after_ms: i64) -> SessionId {
        let (offset, at_ms) = (stream.as_of().0 + 1, NOW_MS + after_ms);
        let mut event = Event::new("shop".into(), format!("{visitor}{offset}").into(), EventName::PageView, at_ms);
        (event.visitor_id, event.tracker_session_id) = (Some(visitor.into()), Some(tracker.into()));
        match stream.on_record(offset, at_ms, Record::Event(Box::new(event)), &Nothing, &mut Vec::new()) {
            Some(Seam::Applied(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_id_that_a_client_makes_up_leads_away_from_ours() {
        let [mut one, mut other] = [0, 1].map(|number| Stream::new(PartitionId(number), Config::default()));
        let ours = views(&mut one, "v1", "t", 0);
        let theirs = views(&mut other, "v2", &ours.to_string(), 5);
        let ask = |stream: &Stream, id: &str| session(stream, id, NOW_MS + 5);
        let (one_rank, found) = ask(&one, &ours.to_string()).expect("ours");
        let (other_rank, made_up) = ask(&other, &ours.to_string()).expect("theirs");
        assert_eq!((found, made_up), (ours, theirs));
        assert!(one_rank > other_rank, "whenever it was heard of");
        views(&mut other, "v2", "t", 6);
        views(&mut other, "v2", "u", 7);
        let ranks = [&one, &other].map(|stream| ask(stream, "t").map(|(rank, _)| rank));
        assert!(ranks[0] > ranks[1], "who carries it now, and not who was heard of later: {ranks:?}");
    }
}
