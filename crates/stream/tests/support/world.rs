//! Partitions that send each other what they make, for tests of whose an event is.

use crate::support::Nothing;
use midsession_event::{
    Event, EventName, Handoff, Identity, PartitionId, Product, Record, SessionUpdate, ShopperId, Unmerge, partition_of,
};
use midsession_machine::Effect;
use midsession_stream::{Config, Seam, Stream};

pub const PARTITIONS: u32 = 8;
pub const MINUTE: i64 = 60_000;
pub const GAP: i64 = 30 * MINUTE;
pub const START: i64 = 1_700_000_000_000;

/// Partitions with what they send each other.
pub struct World {
    pub streams: Vec<Stream>,
    pub next: Vec<i64>,
    pub routed: Vec<(PartitionId, Record)>,
    pub identities: Vec<Identity>,
    pub updates: Vec<SessionUpdate>,
    pub returned: Vec<Handoff>,
    pub made: u64,
}

impl World {
    pub fn new() -> Self {
        let config = Config { partitions: PARTITIONS, ..Config::default() };
        let streams = (0..PARTITIONS).map(|number| Stream::new(PartitionId(number), config)).collect();
        let (routed, identities, updates, returned) = Default::default();
        Self { streams, next: vec![0; PARTITIONS as usize], routed, identities, updates, returned, made: 0 }
    }

    pub fn append(&mut self, key: &str, at_ms: i64, record: Record) -> Option<Seam> {
        let index = partition_of(key, PARTITIONS).0 as usize;
        let (offset, mut out) = (self.next[index], Vec::new());
        self.next[index] += 1;
        // What is routed comes as it is read from the log.
        let record = Record::decode(&record.encode().expect("encodes")).expect("decodes");
        let seam = self.streams[index].on_record(offset, at_ms, record, &Nothing, &mut out);
        for effect in out {
            let (key, record) = match effect {
                Effect::Handoff(handoff) if handoff.returns => {
                    self.returned.push((*handoff).clone());
                    (handoff.visitor_id.to_string(), Record::Handoff(handoff))
                }
                Effect::Handoff(handoff) => (handoff.user_id.to_string(), Record::Handoff(handoff)),
                Effect::Forward(forward) => (forward.user_id.to_string(), Record::Forward(forward)),
                Effect::Recall(recall) => (recall.user_id.to_string(), Record::Recall(recall)),
                Effect::Identity(identity) => {
                    self.identities.push(*identity);
                    continue;
                }
                Effect::Session(update) => {
                    self.updates.push(*update);
                    continue;
                }
                _ => continue,
            };
            self.routed.push((partition_of(&key, PARTITIONS), record));
        }
        seam
    }

    pub fn arrive(&mut self, at_ms: i64) {
        while !self.routed.is_empty() {
            let (partition, record) = self.routed.remove(0);
            let key = (0..).map(|n| n.to_string()).find(|key| partition_of(key, PARTITIONS) == partition);
            self.append(&key.expect("some key"), at_ms, record);
        }
    }

    /// Something done at one time that arrives at another.
    pub fn does(&mut self, who: (&str, Option<&str>), name: EventName, time_ms: i64, at_ms: i64) -> Event {
        self.made += 1;
        let mut event = Event::new("shop".into(), format!("e{}", self.made).into(), name, time_ms);
        (event.visitor_id, event.user_id) = (Some(who.0.into()), who.1.map(Into::into));
        event.products = vec![Product { id: event.event_id.as_str().into(), ..Product::default() }];
        self.sends(&event, at_ms);
        event
    }

    pub fn sends(&mut self, event: &Event, at_ms: i64) -> Option<Seam> {
        let seam = self.append(event.key(), at_ms, Record::Event(Box::new(event.clone())));
        self.arrive(at_ms);
        seam
    }

    pub fn unmerge(&mut self, visitor: &str, user: &str, at_ms: i64) {
        let (visitor_id, user_id) = (visitor.into(), user.into());
        let unmerge = Unmerge { visitor_id, user_id, asked_at_ms: at_ms, reason: None };
        self.append(visitor, at_ms, Record::Unmerge(Box::new(unmerge)));
    }

    pub fn stream(&self, id: &str) -> &Stream {
        &self.streams[partition_of(id, PARTITIONS).0 as usize]
    }

    /// The products that somebody looked at.
    pub fn products(&self, who: &ShopperId) -> Vec<String> {
        let home = self.stream(who.as_str());
        let Some(view) = home.view(who, home.as_of().1) else { return Vec::new() };
        let names = view.facts.all().iter().filter_map(|fact| view.names.name(fact.product));
        let mut products: Vec<String> = names.map(ToString::to_string).collect();
        products.sort();
        products
    }

    /// Whose an event turned out to be.
    pub fn whose(&self, event: &Event) -> Vec<String> {
        let everybody =
            ["v1", "u1", "u2"].iter().flat_map(|id| [ShopperId::Visitor((*id).into()), ShopperId::User((*id).into())]);
        let has = |who: &ShopperId| self.products(who).contains(&event.event_id.to_string());
        everybody.filter(has).map(|who| who.to_string()).collect()
    }

    pub fn identity(&self, visitor: &str) -> Option<&Identity> {
        self.identities.iter().rfind(|identity| identity.visitor_id.as_str() == visitor)
    }
}

pub fn visitor(id: &str) -> ShopperId {
    ShopperId::Visitor(id.into())
}

pub fn user(id: &str) -> ShopperId {
    ShopperId::User(id.into())
}
