//! Holds the state of a partition against the oracle.

use crate::oracle::{Basket, Oracle, Person, Rules, Stand, Taken, mills};
use midsession_event::{EventName, SessionId, SessionState, SessionUpdate, ShopperId, Str};
use midsession_machine::{Fact, FactKind, Session};
use midsession_stream::{Shopper, Stream};
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [EventName; 5] =
    [EventName::ProductView, EventName::AddToCart, EventName::Transaction, EventName::PageView, EventName::ListView];

/// What was told last of each session.
pub type Told = BTreeMap<u128, SessionUpdate>;

/// An error that shows both, unless they are equal.
pub fn differ<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}\n  found    {found:?}\n  expected {expected:?}"))
}

/// Everybody at home in a partition, if nothing is due there.
pub fn partition(oracle: &Oracle, stream: &Stream, partition: u32, all_told: Option<&Told>) -> Result<(), String> {
    let (_, now_ms) = stream.as_of();
    if stream.next_deadline_ms().is_some_and(|due_ms| due_ms <= now_ms) {
        return Ok(());
    }
    let nobody = Person::default();
    let at_home: BTreeMap<String, &Shopper> =
        stream.shoppers_from(0).map(|(_, shopper)| (shopper.id.to_string(), shopper)).collect();
    let carrying = |tracker: &Str| -> BTreeSet<SessionId> {
        let all = at_home.values().flat_map(|shopper| &shopper.sessions);
        all.filter(|session| session.tracker_ids().any(|id| id == tracker)).map(|session| session.id).collect()
    };
    for (who, shopper) in &at_home {
        for tracker in shopper.sessions.iter().flat_map(Session::tracker_ids) {
            let (found, all) = (stream.resolve_tracker_session(tracker), carrying(tracker));
            if !found.is_some_and(|found| all.contains(&found)) {
                return Err(format!("{tracker} leads to {found:?}, and is carried by {all:?}"));
            }
        }
        let person = oracle.people.get(who).unwrap_or(&nobody);
        differ(&format!("{who} may be read"), &stream.may_read(&shopper.id), &oracle.may_read(who))?;
        sessions(person, shopper, stream, &oracle.rules, all_told).map_err(|cause| format!("{who}: {cause}"))?;
        windows(person, stream, &shopper.id, now_ms).map_err(|cause| format!("{who}: {cause}"))?;
    }
    let rules = &oracle.rules;
    let missing = oracle.people.iter().find(|(who, person)| {
        person.home == partition
            && !at_home.contains_key(*who)
            && (person.visits.iter().any(|visit| visit.span_ms().1 + rules.gap_ms + rules.grace_ms > now_ms)
                || acts(person).any(|taken| taken.time_ms > now_ms - 86_400_000))
    });
    missing.map_or(Ok(()), |(who, _)| Err(format!("{who} is not at home in {partition}")))
}

fn sessions(
    person: &Person,
    shopper: &Shopper,
    stream: &Stream,
    rules: &Rules,
    all_told: Option<&Told>,
) -> Result<(), String> {
    let (_, now_ms) = stream.as_of();
    let readable_ms = 12 * 3_600_000 + rules.gap_ms + rules.grace_ms;
    for session in &shopper.sessions {
        let visit = person.visits.iter().find(|visit| visit.id == session.id.0);
        let visit = visit.ok_or_else(|| format!("session {} is nobody's: {session:?}", session.id))?;
        let (from_ms, to_ms) = visit.span_ms();
        let state = match visit.stand {
            Stand::Live if to_ms + rules.gap_ms <= now_ms => "idle",
            Stand::Live => "open",
            Stand::Closed | Stand::LoggedOut => "closed",
            Stand::Into(_) => continue,
        };
        let basket = visit.basket();
        let expected = format!(
            "{state} {:?} {:?} of {} tracked {:?} {from_ms}..{to_ms} events {} views {} {} adds {} step {} orders {} {} bot {} cart {basket:?} v{} consent {}",
            visit.device,
            visit.user,
            visit.source,
            visit.tracker,
            visit.taken.len(),
            visit.count("page_view"),
            visit.count("product_view"),
            visit.count("add_to_cart"),
            visit.step(),
            visit.count("transaction"),
            visit.revenue(),
            visit.is_bot(),
            visit.cart_version,
            visit.consent,
        );
        differ(&format!("session {}", session.id), &told(session, stream), &expected)?;
        // More than eight are not kept.
        let (known, trackers) = (session.tracker_ids().map(Str::as_str).collect::<BTreeSet<_>>(), visit.trackers());
        if trackers.len() <= 8 || !known.is_subset(&trackers) {
            differ(&format!("ids of trackers of session {}", session.id), &known, &trackers)?;
        }
        let said = [&session.campaign, &session.device_class].map(|said| said.as_ref().map(|said| said.text.as_str()));
        let by_act = [visit.earliest(|act| act.campaign.as_ref()), visit.earliest(|act| act.device_class.as_ref())];
        if said.iter().zip(&by_act).any(|(said, all)| said.map_or(!all.is_empty(), |said| !all.contains(said))) {
            return Err(format!("session {} comes from {said:?} instead of {by_act:?}", session.id));
        }
        // What is not owed has been told.
        if let Some(all_told) = all_told.filter(|_| !session.dirty) {
            let expected = session.update(stream.currencies());
            let found = all_told.get(&session.id.0);
            // By text, in which no number is equal to none.
            differ(
                &format!("session {} as it was told", session.id),
                &format!("{found:?}"),
                &format!("{:?}", Some(&expected)),
            )?;
        }
        if session.dirty && session.emitted_at_ms + 5_000 <= now_ms {
            return Err(format!("session {} owes an update since {}", session.id, session.emitted_at_ms));
        }
    }
    let missing = person.visits.iter().find(|visit| {
        visit.span_ms().1 + readable_ms > now_ms
            && !matches!(visit.stand, Stand::Into(_))
            && shopper.sessions.iter().all(|session| session.id.0 != visit.id)
    });
    missing.map_or(Ok(()), |visit| Err(format!("no session for {visit:?}")))
}

/// A session in the words of the oracle.
fn told(session: &Session, stream: &Stream) -> String {
    let state = match session.state {
        SessionState::Open => "open",
        SessionState::Idle => "idle",
        SessionState::Merged => "merged",
        SessionState::Closed => "closed",
    };
    let basket = Basket {
        value: session.cart.value,
        currency: stream.currencies().name(u32::from(session.cart.currency)).map(ToString::to_string),
        size: session.cart.size,
        touched: session.cart.touched,
    };
    format!(
        "{state} {:?} {:?} of {} tracked {:?} {}..{} events {} views {} {} adds {} step {} orders {} {} bot {} cart {basket:?} v{} consent {}",
        session.visitor.as_ref().map(ToString::to_string),
        session.user.as_ref().map(ToString::to_string),
        session.source,
        session.tracker_session_id.as_ref().map(ToString::to_string),
        session.started_at_ms,
        session.ended_at_ms,
        session.events,
        session.page_views,
        session.product_views,
        session.add_to_carts,
        session.checkout_step,
        session.orders,
        session.revenue,
        session.bot,
        session.cart_version,
        session.consent.0,
    )
}

/// All that took effect or was too late.
pub fn acts(person: &Person) -> impl Iterator<Item = &Taken> {
    let visits = person.visits.iter().filter(|visit| !matches!(visit.stand, Stand::Into(_)));
    visits.flat_map(|visit| &visit.taken).chain(&person.loose)
}

/// Counts, sums and distincts over the windows, at `now` and a moment later.
fn windows(person: &Person, stream: &Stream, id: &ShopperId, now_ms: i64) -> Result<(), String> {
    for (window_ms, later_ms) in [(300_000, 0), (3_600_000, 0), (86_400_000, 0), (300_000, 1), (86_400_000, 77)] {
        let now_ms = now_ms + later_ms;
        let Some(view) = stream.view(id, now_ms) else {
            let in_window = |taken: &&Taken| taken.time_ms > now_ms - window_ms;
            let left = acts(person).find(in_window).map(|taken| taken.time_ms);
            left.map_or(Ok(()), |time_ms| Err(format!("no view at {now_ms}, after an act at {time_ms}")))?;
            continue;
        };
        let facts = view.facts.between(now_ms - window_ms, now_ms);
        for name in &NAMES {
            let kind = FactKind::of(name);
            let within = || {
                acts(person).filter(|taken| {
                    taken.act.name == name.as_str() && taken.time_ms > now_ms - window_ms && taken.time_ms <= now_ms
                })
            };
            let count = facts.iter().filter(|fact| fact.kind == kind).count();
            let sum: i64 = facts
                .iter()
                .filter(|fact| fact.kind.base() == kind)
                .map(|fact| fact.value)
                .filter(|v| !v.is_nan())
                .map(mills)
                .sum();
            let named = |number: fn(&Fact) -> u32| -> BTreeSet<&str> {
                let all = facts.iter().filter(|fact| fact.kind.base() == kind);
                all.filter_map(|fact| view.names.name(number(fact))).map(|name| name.as_str()).collect()
            };
            let distinct = (named(|fact| fact.product), named(|fact| fact.category));
            let of_pieces = |taken: &Taken| taken.act.pieces.iter().filter_map(|piece| piece.price).map(mills).sum();
            let expected_sum: i64 =
                within().map(|taken| taken.act.revenue.map_or_else(|| of_pieces(taken), mills)).sum();
            let pieces = || within().flat_map(|taken| taken.act.pieces.iter().map(|piece| (piece, &taken.act.list)));
            let products = pieces().map(|(piece, _)| piece.id.as_str()).collect();
            // What a product does not say of itself the list does that it is in.
            let of_products = pieces().filter_map(|(piece, list)| piece.category.as_ref().or(list.as_ref()));
            let of_lists = within().filter(|taken| taken.act.pieces.is_empty() && !taken.act.has_order);
            let categories = of_products.chain(of_lists.filter_map(|taken| taken.act.list.as_ref()));
            let expected_distinct = (products, categories.map(String::as_str).collect());
            differ(
                &format!("{name} over {window_ms} ms at {now_ms}"),
                &(count, sum, distinct),
                &(within().count(), expected_sum, expected_distinct),
            )?;
        }
    }
    Ok(())
}
