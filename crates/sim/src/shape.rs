//! What is looked at after every record: the shape of the state alone, without the oracle, so that it costs little.

use midsession_event::SessionState;
use midsession_machine::Session;
use midsession_stream::{Shopper, Stream};
use std::collections::BTreeMap;

/// Two events of a session are at most this far apart.
const GAP_MS: i64 = 30 * 60_000;

/// What the partitions showed after their last records.
#[derive(Debug, Default)]
pub struct Shapes {
    /// By partition: offset and stamp.
    places: BTreeMap<u32, (i64, i64)>,
    /// By partition and session.
    versions: BTreeMap<(u32, u128), i64>,
    /// Who is forgotten for want of room and sends the same again begins anew, versions too.
    begins_anew: bool,
}

impl Shapes {
    /// Of machines that forget for want of room.
    pub fn of_the_forgotten() -> Self {
        Self { begins_anew: true, ..Self::default() }
    }

    /// Looks at a partition. An error names the invariant. With `or_itself` it is one, too, that the machine has seen
    /// something itself; where a fault is made on purpose the others are to find it.
    pub fn look(&mut self, stream: &Stream, or_itself: bool) -> Result<(), String> {
        let partition = stream.partition().0;
        let counters = stream.counters();
        if !counters.adds_up() {
            return Err(format!("I1: partition {partition}: {counters:?}"));
        }
        let (offset, now_ms) = stream.as_of();
        let before = self.places.insert(partition, (offset, now_ms));
        if let Some((_, before_ms)) = before.filter(|(before, before_ms)| *before > offset || *before_ms > now_ms) {
            return Err(format!("I5: partition {partition} was at {before_ms} and is at {now_ms}"));
        }
        stream.recount().map_err(|cause| format!("I2: partition {partition}: {cause}"))?;
        for (_, shopper) in stream.shoppers_from(0) {
            for session in &shopper.sessions {
                let before = self.versions.insert((partition, session.id.0), session.version);
                if before.is_some_and(|before| before > session.version) && !self.begins_anew {
                    return Err(format!("I3: version {} of {}, was {before:?}", session.version, session.id));
                }
                one(stream, shopper, session).map_err(|cause| format!("I4: {}: {cause}: {session:?}", shopper.id))?;
            }
        }
        if let Some(cause) = stream.spill_failure() {
            return Err(format!("I2: partition {partition}: {cause}"));
        }
        let seen: Vec<_> = stream.violations().broken().collect();
        if or_itself && !seen.is_empty() {
            return Err(format!("{}: partition {partition} has seen itself that it does not hold", seen.join(", ")));
        }
        Ok(())
    }

    /// A new process starts from what it has saved.
    pub fn restarted(&mut self) {
        *self = Self { begins_anew: self.begins_anew, ..Self::default() };
    }
}

/// A session among those of its shopper.
fn one(stream: &Stream, shopper: &Shopper, session: &Session) -> Result<(), String> {
    if session.state == SessionState::Merged {
        return if session.merged_into.is_some() { Ok(()) } else { Err("merged into none".into()) };
    }
    let is_near = |other: &&Session| {
        other.is_live()
            && other.id != session.id
            && other.visitor == session.visitor
            && other.started_at_ms <= session.ended_at_ms + GAP_MS
            && session.started_at_ms <= other.ended_at_ms + GAP_MS
    };
    if let Some(other) = shopper.sessions.iter().filter(|_| session.is_live()).find(is_near) {
        return Err(format!("{} is live within a gap of it", other.id));
    }
    if let Some(other) = shopper.sessions.iter().find(|other| other.id == session.id && other.number != session.number)
    {
        return Err(format!("it is there twice: {other:?}"));
    }
    let facts = stream.facts_of(shopper);
    let times = facts.all().iter().filter(|fact| fact.session == session.number).map(|fact| fact.time_ms);
    let mut last_ms: Option<i64> = None;
    for time_ms in times {
        if time_ms < session.started_at_ms || time_ms > session.ended_at_ms {
            return Err(format!("an event at {time_ms} is outside of it"));
        }
        if let Some(last_ms) = last_ms.filter(|last_ms| time_ms - last_ms > GAP_MS) {
            return Err(format!("nothing between {last_ms} and {time_ms}"));
        }
        last_ms = Some(time_ms);
    }
    Ok(())
}
