//! The way of one session, entry by entry: where its visitor became known, what was late or joined, what each event changed.
//!
//! The shopper's own records are read again from every partition that had them, in the order of their stamps, through fresh
//! machines: three times, as a merge that comes late says of earlier events that they belong here, and features are read for
//! the entries alone that are shown.

use super::for_each;
use midsession_event::{
    Event, EventName, Handoff, OutputId, PartitionId, Record, SessionId, SessionState, ShopperId, Str, Topic, VisitorId,
};
use midsession_machine::{Definitions, Effect, View};
use midsession_ports::{Log, LogError};
use midsession_stream::{Config, Seam, Stream};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Entries of one timeline; older ones are cut.
const ENTRIES_MAX: usize = 500;
/// Records read for one timeline; older ones are left out.
const RECORDS_MAX: usize = 100_000;
/// Features are read from so many records before the first entry that is shown: while a session is on its way between two
/// partitions, they are what they were.
const LEAD: usize = 64;

/// Reads the features that a timeline shows.
pub type ReadFeatures<'a> = &'a dyn Fn(&View<'_>) -> Vec<(Str, midsession_feature::Value)>;

/// Whose session it is, and where.
#[derive(Clone, Debug)]
pub struct Whose {
    /// Our id (the survivor's, after a merge).
    pub session: SessionId,
    /// At home.
    pub shopper: ShopperId,
    /// Its device.
    pub visitor: Option<VisitorId>,
    /// Event time of its first event. Epoch ms.
    pub started_at_ms: i64,
}

/// A record of a shopper, with the place in the list of who had the session where it stands.
#[derive(Clone)]
struct Own {
    stamp_ms: i64,
    owner: usize,
    offset: i64,
    record: Record,
}

/// The way of one session, with the features before and after each entry.
pub fn timeline<D: Definitions>(
    log: &dyn Log,
    config: Config,
    definitions: &D,
    whose: &Whose,
    read: ReadFeatures<'_>,
) -> Result<Value, LogError> {
    let since_ms = whose.started_at_ms - midsession_machine::WINDOW_MAX_MS - config.gap_ms;
    // Before the login it lived in the visitor's own partition; until an unmerge, at the home of whom it was taken for.
    let mut owners: Vec<ShopperId> = whose.visitor.iter().map(|visitor| ShopperId::Visitor(visitor.clone())).collect();
    if !owners.contains(&whose.shopper) {
        owners.push(whose.shopper.clone());
    }
    let (mut own, mut left_out) = (VecDeque::new(), false);
    let mut next = 0;
    while let Some(owner) = owners.get(next).cloned() {
        let partition = owner.partition(config.partitions);
        let start = log.offset_at(Topic::Behavior, partition, since_ms)?;
        for_each(log, Topic::Behavior, partition, start, |entry| {
            // A shopper's state depends on their own records only; deadlines fire at their own instants all the same.
            if entry.key.as_ref() != owner.as_str().as_bytes() {
                return;
            }
            let Some(Ok(record)) = entry.value.as_deref().map(Record::decode) else { return };
            // Nobody's own, though a visitor may be called what they are filed under; it is told by the definitions at hand.
            if matches!(record, Record::Definition(_) | Record::Filled(_)) {
                return;
            }
            if let Record::Unmerge(unmerge) = &record
                && Some(&unmerge.visitor_id) == whose.visitor.as_ref()
                && !owners.contains(&ShopperId::User(unmerge.user_id.clone()))
            {
                owners.push(ShopperId::User(unmerge.user_id.clone()));
            }
            if own.len() == RECORDS_MAX {
                own.pop_front();
                left_out = true;
            }
            own.push_back(Own { stamp_ms: entry.stamp_ms, owner: next, offset: entry.offset, record });
        })?;
        next += 1;
    }
    // Of the same millisecond the visitor's come first: what was sent on follows.
    let mut own = Vec::from(own);
    own.sort_by_key(|own| (own.stamp_ms, own.owner, own.offset));
    let (ids, taken) = traced(whose.session, &own, &owners, config, definitions);
    let tracer = |from: usize| Tracer {
        whose,
        owners: &owners,
        read,
        ids: &ids,
        taken: &taken,
        moved: vec![0; owners.len()],
        from,
        noted: 0,
        entries: Vec::new(),
        before: Map::new(),
        is_own: false,
        is_begun: false,
        stream: 0,
        streams: fresh(&owners, config),
    };
    let noted = walk(tracer(usize::MAX), own.iter().cloned(), &[], definitions).1;
    let from = noted.last().copied().unwrap_or_default().saturating_sub(ENTRIES_MAX);
    let (entries, _) = walk(tracer(from), own.into_iter(), &noted, definitions);
    Ok(json!({"timeline": entries, "truncated": left_out || from > 0}))
}

/// The entries of these records, with how many there were after each of them; `noted`: that, where it is known.
fn walk<D: Definitions>(
    mut tracer: Tracer<'_>,
    own: impl Iterator<Item = Own>,
    noted: &[usize],
    definitions: &D,
) -> (Vec<Value>, Vec<usize>) {
    let (mut effects, mut after) = (Vec::new(), Vec::new());
    for (index, Own { stamp_ms, owner, offset, record }) in own.enumerate() {
        let event = event_of(&record).cloned();
        let handed = match &record {
            Record::Handoff(handoff) if Some(&handoff.visitor_id) == tracer.whose.visitor.as_ref() => {
                Some(handoff.clone())
            }
            _ => None,
        };
        tracer.stream = owner;
        tracer.is_own = event.as_ref().is_some_and(|event| event.visitor_id == tracer.whose.visitor);
        let soon = noted.get(index + LEAD).or(noted.last());
        if soon.is_some_and(|noted| *noted > tracer.from) {
            tracer.before = tracer.features(stamp_ms).unwrap_or_else(|| std::mem::take(&mut tracer.before));
        }
        let partition = tracer.streams[owner].partition();
        let place = OutputId { partition, offset, ordinal: 0 };
        let seam = tracer.streams[owner].on_record(offset, stamp_ms, record, definitions, &mut effects);
        let moves = moves(&effects);
        // From there on the device is who it has signed in as.
        tracer.is_own |= handed.is_some();
        tracer.note(place, stamp_ms, event.as_ref(), seam, handed.as_deref(), &mut effects);
        tracer.moved[owner] += u32::from(moves);
        after.push(tracer.noted);
    }
    (tracer.entries, after)
}

fn fresh(owners: &[ShopperId], config: Config) -> Vec<Stream> {
    owners.iter().map(|owner| Stream::new(owner.partition(config.partitions), config)).collect()
}

/// What took effect in a session.
#[derive(Default)]
struct Taken {
    /// Events, by source and id.
    events: BTreeSet<u64>,
    /// Whose it was meanwhile.
    by: BTreeSet<Person>,
}

/// The place among the owners, and how many have signed in there before: each time who was there goes on as somebody else.
type Person = (usize, u32);

/// Whether what was known of a visitor leaves with these.
fn moves(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Handoff(handoff) if !handoff.returns))
}

/// The ids of all sessions that have become this one, itself among them, and what took effect in them.
fn traced<D: Definitions>(
    session: SessionId,
    own: &[Own],
    owners: &[ShopperId],
    config: Config,
    definitions: &D,
) -> (Vec<SessionId>, Taken) {
    let (mut streams, mut effects) = (fresh(owners, config), Vec::new());
    let mut into: BTreeMap<SessionId, SessionId> = BTreeMap::new();
    let (mut applied, mut moved) = (Vec::new(), vec![0; owners.len()]);
    for Own { stamp_ms, owner, offset, record } in own {
        let event = event_of(record).map(Event::id_hash);
        let seam = streams[*owner].on_record(*offset, *stamp_ms, record.clone(), definitions, &mut effects);
        if let (Some(event), Some(Seam::Applied(session))) = (event, seam) {
            applied.push((session, event, (*owner, moved[*owner])));
        }
        moved[*owner] += u32::from(moves(&effects));
        into.extend(effects.drain(..).filter_map(|effect| match effect {
            Effect::Session(update) => Some((update.session_id, update.merged_into?)),
            _ => None,
        }));
    }
    let mut ids = vec![session];
    let mut next = 0;
    while let Some(id) = ids.get(next).copied() {
        let more = into.iter().filter(|(_, kept)| **kept == id).map(|(gone, _)| *gone);
        let more: Vec<SessionId> = more.filter(|gone| !ids.contains(gone)).collect();
        ids.extend(more);
        next += 1;
    }
    let own = applied.into_iter().filter(|(session, ..)| ids.contains(session));
    let (events, by) = own.map(|(_, event, person)| (event, person)).unzip();
    (ids, Taken { events, by })
}

/// The event that a record brings.
fn event_of(record: &Record) -> Option<&Event> {
    match record {
        Record::Event(event) => Some(event),
        Record::Forward(forward) if !forward.is_parting() => Some(&forward.event),
        _ => None,
    }
}

struct Tracer<'a> {
    whose: &'a Whose,
    owners: &'a [ShopperId],
    read: ReadFeatures<'a>,
    /// Sessions that are this one in the end.
    ids: &'a [SessionId],
    /// What took effect in them.
    taken: &'a Taken,
    /// Who is at each owner's home.
    moved: Vec<u32>,
    /// The number of the first entry that is shown; those before it are counted alone.
    from: usize,
    /// Entries so far.
    noted: usize,
    entries: Vec<Value>,
    /// Features right before the record at hand.
    before: Map<String, Value>,
    /// The record at hand is of this device: who has it is whom the device is.
    is_own: bool,
    /// The session has been there.
    is_begun: bool,
    /// Who has it at the record at hand: the place among `owners` and `streams`.
    stream: usize,
    streams: Vec<Stream>,
}

/// What an entry says beside its place.
#[derive(Default)]
struct Said<'a> {
    kind: &'a str,
    name: &'a str,
    summary: &'a str,
    detail: Option<(&'a str, Value)>,
    /// The event time lies before that of an event that was there already.
    is_late: bool,
    /// The session that it took effect in, where that one has become this one.
    joined: Option<SessionId>,
    /// It was due before the record that brought it up.
    is_due: bool,
}

impl Tracer<'_> {
    fn note(
        &mut self,
        place: OutputId,
        stamp_ms: i64,
        event: Option<&Event>,
        seam: Option<Seam>,
        handed: Option<&Handoff>,
        effects: &mut Vec<Effect>,
    ) {
        // What was due by then happened before the record at hand, what it caused after.
        let is_over = event.is_some_and(|event| event.name == EventName::Logout);
        let (due, caused): (Vec<Effect>, Vec<Effect>) = effects.drain(..).partition(|effect| match effect {
            Effect::Session(update) => match update.state {
                SessionState::Idle => true,
                SessionState::Closed => !is_over,
                SessionState::Open | SessionState::Merged => false,
            },
            Effect::Candidate(candidate) => candidate.cause_event.is_none(),
            _ => false,
        });
        due.into_iter().for_each(|effect| self.effect(place, stamp_ms, effect, true));
        if let Some(handoff) = handed {
            let (kind, summary) = match (handoff.returns, handoff.left) {
                (true, _) => ("unmerge", format!("not {} after all: back to the visitor", handoff.user_id)),
                (_, true) => ("unmerge", format!("done while {} was there", handoff.user_id)),
                _ => ("login", format!("known as {} from here on", handoff.user_id)),
            };
            let detail = Some(("handoff", seam_of(handoff, place.partition)));
            self.push(place, stamp_ms, Said { kind, name: kind, summary: &summary, detail, ..Said::default() });
        }
        if let (Some(event), Some(seam)) = (event, seam) {
            self.event(place, stamp_ms, event, seam);
        }
        caused.into_iter().for_each(|effect| self.effect(place, stamp_ms, effect, false));
    }

    fn event(&mut self, place: OutputId, stamp_ms: i64, event: &Event, seam: Seam) {
        // The device may be another person's by now, whom a repeat of what was done before, or what comes late of it, would tell.
        let (is_from_there, person) = (event.visitor_id == self.whose.visitor, (self.stream, self.moved[self.stream]));
        let (kind, session) = match seam {
            Seam::Applied(session) if self.ids.contains(&session) => ("event", Some(session)),
            Seam::Duplicate if self.taken.events.contains(&event.id_hash()) => ("duplicate", None),
            Seam::TooLate if is_from_there && self.taken.by.contains(&person) => ("too_late", None),
            Seam::Applied(_) | Seam::Duplicate | Seam::TooLate | Seam::Forwarded | Seam::Keyless | Seam::Refused => {
                return;
            }
        };
        self.is_begun |= session.is_some();
        let view = session.and_then(|id| self.streams[self.stream].session_view(id, stamp_ms));
        let ended_at_ms = view.and_then(|view| Some(view.session?.ended_at_ms));
        let said = Said {
            kind,
            name: event.name.as_str(),
            summary: &summary(event),
            detail: Some(("event", serde_json::to_value(event).unwrap_or_default())),
            is_late: ended_at_ms.is_some_and(|ended_at_ms| event.occurred_at_ms < ended_at_ms),
            joined: session.filter(|id| *id != self.whose.session),
            is_due: false,
        };
        self.push(place, stamp_ms, said);
    }

    fn effect(&mut self, place: OutputId, stamp_ms: i64, effect: Effect, is_due: bool) {
        match effect {
            Effect::Session(update) if self.ids.contains(&update.session_id) => {
                let (kind, name, summary) = match update.state {
                    SessionState::Merged => ("merge", "merged", "two visits became one"),
                    SessionState::Idle => ("timer", "idle", "no event for the length of the gap"),
                    SessionState::Closed => ("closed", "closed", "the visit is over"),
                    SessionState::Open => return,
                };
                let joined = (update.state == SessionState::Merged).then_some(update.session_id);
                self.push(place, stamp_ms, Said { kind, name, summary, joined, is_due, ..Said::default() });
            }
            Effect::Candidate(candidate) if self.ids.contains(&candidate.session_id) => {
                let summary = if candidate.cause_event.is_some() { "asked by an event" } else { "asked by silence" };
                let said = Said { kind: "timer", name: &candidate.rule, summary, is_due, ..Said::default() };
                self.push(place, candidate.asked_at_ms, said);
            }
            Effect::Decided(decision) if self.ids.contains(&decision.session_id) => {
                let detail = Some(("decision", serde_json::to_value(&*decision).unwrap_or_default()));
                let summary = crate::tally::outcome_name(decision.outcome);
                self.push(
                    place,
                    stamp_ms,
                    Said { kind: "decision", name: &decision.rule, summary, detail, ..Said::default() },
                );
            }
            _ => {}
        }
    }

    /// Features as they are there at an instant; none where they are what they were.
    fn features(&self, now_ms: i64) -> Option<Map<String, Value>> {
        // Mostly where the record stands; of a repeat, say, that came in after the login, at the user's home.
        let (before, from) = self.streams.split_at(self.stream);
        let view_in = |stream: &'_ Stream| self.ids.iter().find_map(|id| stream.session_view(*id, now_ms).map(|_| *id));
        let view = match from.iter().chain(before).find_map(|stream| Some((stream, view_in(stream)?))) {
            Some((stream, id)) => stream.session_view(id, now_ms)?,
            // The session is not there yet; its shopper may be, with what they did in other ones.
            None if self.is_own && !self.is_begun => {
                let Some(view) = self.streams[self.stream].view(&self.owners[self.stream], now_ms) else {
                    return Some(Map::new());
                };
                View { session: None, ..view }
            }
            None => return None,
        };
        let values = (self.read)(&view).into_iter();
        Some(values.map(|(name, value)| (name.to_string(), serde_json::to_value(value).unwrap_or_default())).collect())
    }

    fn push(&mut self, place: OutputId, stamp_ms: i64, said: Said<'_>) {
        self.noted += 1;
        if self.noted <= self.from {
            return;
        }
        let Said { kind, name, summary, detail, is_late, joined, is_due } = said;
        // On its way between two partitions nobody has it: it is what it was.
        let now = if is_due { None } else { self.features(stamp_ms) };
        let features = now.unwrap_or_else(|| self.before.clone());
        let is_changed = |name: &&String| features.get(*name) != self.before.get(*name);
        let gone = self.before.keys().filter(|name| !features.contains_key(*name));
        let changed: Vec<&String> = features.keys().filter(is_changed).chain(gone).collect();
        let was = |name: &&String| Some(((*name).clone(), self.before.get(*name)?.clone()));
        let before: Map<String, Value> = changed.iter().filter_map(was).collect();
        let occurred = detail.as_ref().and_then(|(_, value)| value.get("occurred_at_ms").cloned());
        let mut entry = json!({
            "partition": place.partition, "offset": place.offset, "stamp_ms": stamp_ms, "kind": kind, "name": name,
            "occurred_at_ms": occurred.unwrap_or_else(|| stamp_ms.into()), "summary": summary, "features": features,
            "changed": changed, "before": before, "shopper": self.owners[self.stream].to_string(), "late": is_late,
            "joined": joined.map(|id| id.to_string()),
        });
        if let Some((field, value)) = detail {
            entry[field] = value;
        }
        // Of one record, the next entry says what came after this one.
        self.before = features;
        self.entries.push(entry);
    }
}

/// From where to where a hand-off goes, and with what.
fn seam_of(handoff: &Handoff, to: PartitionId) -> Value {
    json!({
        "visitor_id": handoff.visitor_id, "user_id": handoff.user_id, "returns": handoff.returns,
        "from": {"partition": handoff.id.partition, "offset": handoff.id.offset}, "to": {"partition": to},
        "sessions": handoff.sessions.len(),
    })
}

/// An event in a few words.
fn summary(event: &Event) -> String {
    let product = event.products.first().map(|product| {
        let name = product.name.as_ref().unwrap_or(&product.id.0);
        match (event.products.len(), product.price) {
            (1, Some(price)) => format!("{name}, {price:.2} {}", product.currency.as_deref().unwrap_or("")),
            (1, None) => name.to_string(),
            (more, _) => format!("{name} and {} more", more - 1),
        }
    });
    let cart = event.cart.as_ref().and_then(|cart| cart.total_value).map(|total| format!("cart {total:.2}"));
    let page = || event.page.as_ref().and_then(|page| page.title.as_ref().or(page.url.as_ref())).map(Str::to_string);
    let own = match &event.name {
        EventName::Search => event.query.as_ref().map(|query| format!("“{query}”")),
        EventName::CheckoutStep => event.step.map(|step| format!("step {step}")),
        EventName::Transaction => {
            event.order.as_ref().and_then(|order| order.revenue).map(|revenue| format!("revenue {revenue:.2}"))
        }
        EventName::Login => event.user_id.as_ref().map(|user| format!("as {user}")),
        _ => None,
    };
    let parts: Vec<String> = [own, product, cart].into_iter().flatten().collect();
    if parts.is_empty() { page().unwrap_or_default() } else { parts.join(" · ") }
}
