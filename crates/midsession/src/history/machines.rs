//! The partitions' machines over a history: each event goes its way through them as it would live, with its arrival as
//! the stamp.

use crate::assemble::Assembly;
use crate::find::{self, Found};
use midsession_event::{
    Event, PartitionId, Record, SessionId, SessionState, SessionUpdate, ShopperId, Str, Tick, partition_of,
};
use midsession_feature::{FieldPart, Key, Served};
use midsession_machine::partial::Heard;
use midsession_machine::{Definitions, Derived, Effect, Partials, View};
use midsession_stream::{Config, Counters, Seam, Stream};
use std::collections::VecDeque;
use std::sync::Arc;

/// The definitions without the interventions: nobody is asked about the past, and nothing waits for an answer.
pub struct FeaturesAlone<'a>(pub &'a Assembly);

/// What features are read by.
pub trait Serving {
    /// The definitions.
    fn serving(&self) -> &Assembly;
}

impl Serving for Assembly {
    fn serving(&self) -> &Assembly {
        self
    }
}

impl Serving for FeaturesAlone<'_> {
    fn serving(&self) -> &Assembly {
        self.0
    }
}

impl Definitions for FeaturesAlone<'_> {
    fn derive(&self, event: &Event, out: &mut Vec<Derived>) {
        self.0.derive(event, out);
    }

    fn accumulate(&self, event: &Event, shopper: &ShopperId, heard: Heard, now_ms: i64, partials: &mut Partials) {
        self.0.accumulate(event, shopper, heard, now_ms, partials);
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Took {
    /// Whose it is.
    pub shopper: ShopperId,
    /// At the home of its shopper.
    pub seam: Seam,
}

/// Features as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The user, visitor or session that the question resolved to.
    pub id: Str,
    /// Present values, and those that may only not be counted yet.
    pub values: Vec<Served>,
}

/// All partitions of a history.
pub struct Machines<'d, D> {
    streams: Vec<Stream>,
    next: Vec<i64>,
    definitions: &'d D,
    /// Where each partition goes by what its log has put in force: that, if it is something else.
    in_force: Option<Vec<Option<Arc<D>>>>,
    effects: Vec<Effect>,
    routed: VecDeque<(PartitionId, Record)>,
    /// Sessions that have ended, or have become part of another, to be taken; where somebody wants them.
    closed: Option<Vec<SessionUpdate>>,
}

impl<'d, D: Definitions> Machines<'d, D> {
    /// Empty partitions.
    pub fn new(config: Config, definitions: &'d D) -> Self {
        Self {
            streams: (0..config.partitions).map(|partition| Stream::new(PartitionId(partition), config)).collect(),
            next: vec![0; config.partitions as usize],
            definitions,
            in_force: None,
            effects: Vec::new(),
            routed: VecDeque::new(),
            closed: None,
        }
    }

    /// Each partition goes by the definitions that its log puts in force, from record to record.
    #[must_use]
    pub fn following(mut self) -> Self {
        let initial = self.definitions.initial();
        self.streams.iter_mut().for_each(|stream| stream.define(initial.clone()));
        let of = |stream: &Stream| self.definitions.of(stream.defined());
        self.in_force = Some(self.streams.iter().map(of).collect());
        self
    }

    /// Keeps the sessions that end, for [`Self::take_closed`].
    #[must_use]
    pub fn keeping_closed(mut self) -> Self {
        self.closed = Some(Vec::new());
        self
    }

    /// Takes an event that came in at this stamp; a hand-off or a forward arrives at once.
    pub fn event(&mut self, event: Event, stamp_ms: i64) -> Option<Took> {
        let shopper = match (&event.visitor_id, &event.user_id) {
            (Some(visitor), _) => ShopperId::Visitor(visitor.clone()),
            (None, Some(user)) => ShopperId::User(user.clone()),
            (None, None) => return None,
        };
        let partition = partition_of(event.key(), self.partitions());
        let seam = self.append(partition, stamp_ms, Record::Event(Box::new(event)))?;
        let mut took = Took { shopper, seam };
        while let Some((partition, record)) = self.routed.pop_front() {
            let user = match &record {
                Record::Forward(forward) => Some(ShopperId::User(forward.user_id.clone())),
                _ => None,
            };
            if let (Some(seam), Some(shopper)) = (self.append(partition, stamp_ms, record), user) {
                took = Took { shopper, seam };
            }
        }
        Some(took)
    }

    fn append(&mut self, partition: PartitionId, stamp_ms: i64, record: Record) -> Option<Seam> {
        let offset = self.next.get(partition.0 as usize).copied()?;
        let seam = self.record(partition, offset, stamp_ms, record);
        let partitions = self.partitions();
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Handoff(handoff) => {
                    let key = if handoff.returns { handoff.visitor_id.as_str() } else { handoff.user_id.as_str() };
                    self.routed.push_back((partition_of(key, partitions), Record::Handoff(handoff)));
                }
                Effect::Forward(forward) => {
                    let home = partition_of(forward.user_id.as_str(), partitions);
                    self.routed.push_back((home, Record::Forward(forward)));
                }
                _ => {}
            }
        }
        seam
    }

    /// Takes a record of a log, at its own place. What it routes to other partitions is on the log itself.
    pub fn logged(&mut self, partition: PartitionId, offset: i64, stamp_ms: i64, record: Record) -> Option<Seam> {
        let redefines = matches!(record, Record::Definition(_));
        if (redefines || matches!(record, Record::Filled(_))) && self.in_force.is_none() {
            // All of the past is looked at by the definitions at hand.
            return None;
        }
        let seam = self.record(partition, offset, stamp_ms, record);
        self.effects.clear();
        let index = partition.0 as usize;
        if redefines
            && let (Some(in_force), Some(stream)) = (&mut self.in_force, self.streams.get(index))
            && let Some(place) = in_force.get_mut(index)
        {
            *place = self.definitions.of(stream.defined());
        }
        seam
    }

    fn record(&mut self, partition: PartitionId, offset: i64, stamp_ms: i64, record: Record) -> Option<Seam> {
        let index = partition.0 as usize;
        let stream = self.streams.get_mut(index)?;
        self.next[index] = offset + 1;
        let others = self.in_force.as_ref().and_then(|in_force| in_force.get(index)?.as_deref());
        let seam = stream.on_record(offset, stamp_ms, record, others.unwrap_or(self.definitions), &mut self.effects);
        if let Some(closed) = &mut self.closed {
            closed.extend(self.effects.iter().filter_map(|effect| match effect {
                Effect::Session(update) if matches!(update.state, SessionState::Closed | SessionState::Merged) => {
                    Some(update.as_ref().clone())
                }
                _ => None,
            }));
        }
        seam
    }

    /// Time has passed: what is due by now fires.
    pub fn advance(&mut self, partition: PartitionId, now_ms: i64) {
        let due = self.streams.get(partition.0 as usize).and_then(Stream::next_deadline_ms);
        if let Some(due_ms) = due.filter(|due_ms| *due_ms <= now_ms) {
            self.append(partition, now_ms, Record::Tick(Tick { due_ms }));
        }
    }

    /// Likewise in every partition.
    pub fn advance_all(&mut self, now_ms: i64) {
        (0..self.partitions()).for_each(|partition| self.advance(PartitionId(partition), now_ms));
    }

    /// Partitions.
    pub fn partitions(&self) -> u32 {
        self.streams.len() as u32
    }

    /// One partition.
    pub fn stream(&self, partition: PartitionId) -> Option<&Stream> {
        self.streams.get(partition.0 as usize)
    }

    /// Whether a session is remembered: what is not changes no more.
    pub fn knows(&self, session: SessionId) -> bool {
        self.streams.iter().any(|stream| stream.session_view(session, i64::MIN).is_some())
    }

    /// Sessions that have ended since this was asked last, or changed after they had, or have become part of another.
    pub fn take_closed(&mut self) -> Vec<SessionUpdate> {
        self.closed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Sessions that have not ended.
    pub fn live(&self) -> impl Iterator<Item = SessionUpdate> {
        self.streams.iter().flat_map(|stream| {
            let sessions = stream.shoppers_from(0).flat_map(|(_, shopper)| &shopper.sessions);
            sessions.filter(|session| session.is_live()).map(move |session| session.update(stream.currencies()))
        })
    }

    /// All counters together.
    pub fn counters(&self) -> Counters {
        self.streams.iter().fold(Counters::default(), |sum, stream| sum.plus(&stream.counters()))
    }
}

impl<D: Definitions + Serving> Machines<'_, D> {
    /// What a partition's features are read by.
    fn serving(&self, partition: PartitionId) -> &Assembly {
        let others = self.in_force.as_ref().and_then(|in_force| in_force.get(partition.0 as usize)?.as_deref());
        others.unwrap_or(self.definitions).serving()
    }

    /// The features of a user, visitor or session at an instant; timers that are due by then fire first if `ticks`.
    pub fn read(&mut self, key: Key, id: &str, names: &[Str], now_ms: i64, ticks: bool) -> Option<Values> {
        if key == Key::Session {
            let rank = |partition: &PartitionId| Some(find::session(self.stream(*partition)?, id, now_ms)?.0);
            let known = (0..self.partitions()).map(PartitionId).filter(|partition| rank(partition).is_some());
            let partition = known.rev().max_by_key(rank)?;
            if ticks {
                self.advance(partition, now_ms);
            }
            return read_session(self.stream(partition)?, self.serving(partition), id, names, now_ms);
        }
        let mut partition = partition_of(id, self.partitions());
        let mut id = Str::from(id);
        // A visitor leads to a user, and a user to nobody else.
        for _ in 0..2 {
            if ticks {
                self.advance(partition, now_ms);
            }
            match read_shopper(self.stream(partition)?, self.serving(partition), &id, names, now_ms) {
                Ok(values) => return values,
                Err(user) => {
                    partition = partition_of(&user, self.partitions());
                    id = user;
                }
            }
        }
        None
    }

    /// Everybody's features by a value of a field at an instant.
    pub fn read_field(&self, key: &str, id: &str, names: &[Str], now_ms: i64) -> Option<Values> {
        let mut gathered = Gathered::default();
        for stream in &self.streams {
            gathered.add(stream, self.serving(stream.partition()), key, id, now_ms);
        }
        // A change of definitions is in all partitions at one stamp.
        let last = self.streams.last()?;
        gathered.values(last, self.serving(last.partition()), key, id, names)
    }
}

/// What partitions have of a value of a field.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    parts: Vec<FieldPart>,
    now_ms: i64,
}

impl Gathered {
    /// Takes what one partition has, at its own instant. Merged at once: many answers may wait for their last partition.
    pub fn add(&mut self, stream: &Stream, assembly: &Assembly, key: &str, id: &str, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        let parts = assembly.field_partials(None, stream.partials(), key, id, now_ms);
        parts.into_iter().for_each(|part| part.join(&mut self.parts));
    }

    /// The values of all of it, by the definitions of the last partition; none where nobody has anything.
    pub fn values(self, last: &Stream, assembly: &Assembly, key: &str, id: &str, names: &[Str]) -> Option<Values> {
        let (_, values) = assembly.join(None, key, self.parts, names, self.now_ms, &last.defined().since)?;
        Some(Values { id: id.into(), values })
    }
}

/// A shopper's features in this partition. An error names the user that the visitor has become, whose home is another
/// partition's matter.
pub fn read_shopper(
    stream: &Stream,
    assembly: &Assembly,
    id: &Str,
    names: &[Str],
    now_ms: i64,
) -> Result<Option<Values>, Str> {
    let shopper = match find::shopper(stream, id, now_ms) {
        Found::Here(shopper) => shopper,
        Found::Moved(user) => return Err(user),
        Found::Nobody => return Ok(None),
    };
    // Who has withdrawn that by then is nobody, as they were to whoever asked.
    let view = stream.view(&shopper, now_ms).filter(|_| stream.may_read(&shopper));
    Ok(view.map(|view| Values { id: id.clone(), values: values(assembly, &view, Key::User, names) }))
}

/// Likewise by this partition alone: a visitor is the user who is at their device, if that one is at home here.
pub fn read_person(stream: &Stream, assembly: &Assembly, id: &Str, names: &[Str], now_ms: i64) -> Option<Values> {
    let read = |id: &Str| read_shopper(stream, assembly, id, names, now_ms);
    let user = match read(id) {
        Ok(Some(values)) => return Some(values),
        Ok(None) => stream.user_at(&id.as_str().into())?.0.clone(),
        Err(user) => user,
    };
    read(&user).unwrap_or(None)
}

/// A session's features in this partition.
pub fn read_session(stream: &Stream, assembly: &Assembly, id: &str, names: &[Str], now_ms: i64) -> Option<Values> {
    let (_, session) = find::session(stream, id, now_ms)?;
    let view = stream.session_view(session, now_ms).filter(|view| stream.may_read(view.shopper))?;
    let id = view.session?.id.to_string().into();
    Some(Values { id, values: values(assembly, &view, Key::Session, names) })
}

/// Values as the first profile serves them.
fn values(assembly: &Assembly, view: &View<'_>, key: Key, names: &[Str]) -> Vec<Served> {
    assembly.served(None, view, key, names).map(|(_, served)| served).unwrap_or_default()
}
