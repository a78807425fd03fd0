//! What must come to pass in time: deadlines, and the end of all that is under way once faults have stopped.

use super::{Storm, partitions};
use crate::audit::Audit;
use crate::house::House;
use midsession_event::{Event, EventName, Record, Topic, VisitorId, partition_of};
use midsession_ports::Log as _;
use midsession_stream::Stream;

/// Once the faults have stopped, everything is read and every partition has moved within this. True time, ms.
const CALM_MS: i64 = 60_000;

impl Storm {
    /// I5: what is due by the log's time is met soon by true time, wherever the wall clock went.
    pub(super) fn deadlines(&mut self, house: &House) -> Result<(), String> {
        let log_ms = self.clock_ms().max(house.port.inner.last_stamp_ms());
        for partition in house.partitions() {
            let Some(due_ms) = house.stream(partition).and_then(Stream::next_deadline_ms) else {
                self.owed.remove(&partition);
                continue;
            };
            let by_ms = self.now_ms + (due_ms - log_ms).max(0) * 8 / 7 + 1_000;
            let owed = self.owed.entry(partition).or_insert((due_ms, by_ms));
            if owed.0 != due_ms {
                *owed = (due_ms, by_ms);
            } else if owed.1 < self.now_ms {
                return Err(format!("I5: partition {partition} was to go on at {due_ms}, it is {log_ms}"));
            }
        }
        Ok(())
    }

    /// Faults have stopped: one more event for each partition, and within a minute nothing is under way and every partition
    /// has moved.
    pub(super) fn drain(&mut self, house: &mut House, audit: &mut Audit) -> Result<(), String> {
        self.disk.end_failpoints();
        let plan = self.plan;
        let ends = |house: &House| -> Vec<i64> {
            let end = |partition| house.port.extent(Topic::Behavior, partition).map_or(0, |extent| extent.end);
            partitions(plan).map(end).collect()
        };
        let before = ends(house);
        for partition in partitions(self.plan) {
            let mut names = (0..).map(|number| VisitorId::from(format!("calm{number}").as_str()));
            let of_it = |name: &VisitorId| partition_of(name.as_str(), self.plan.partitions) == partition;
            let Some(name) = names.find(of_it) else { continue };
            let id = format!("calm{}", partition.0);
            let mut event = Event::new("shop".into(), id.into(), EventName::PageView, self.now_ms);
            event.visitor_id = Some(name);
            self.order += 1;
            self.due.insert((self.now_ms, self.order), Record::Event(Box::new(event)));
        }
        for _ in 0..CALM_MS {
            self.now_ms += 1;
            self.set_clock();
            self.step(house).map_err(|error| format!("I12: {error}"))?;
            self.watch(house, audit)?;
            let is_owed = self.due.keys().next().is_some_and(|(at_ms, _)| *at_ms <= self.now_ms + 10_000);
            if house.is_settled() && !is_owed && self.flying.is_empty() {
                let has_moved = |(number, (before, end)): (u32, (&i64, &i64))| {
                    let read = house.stream(number).map_or(0, |stream| stream.as_of().0 + 1);
                    end > before && read == *end
                };
                let stuck = (0..).zip(before.iter().zip(&ends(house))).any(|partition| !has_moved(partition));
                return if stuck { Err("I12: a partition has not moved".into()) } else { Ok(()) };
            }
        }
        Err("I12: never quiet within a minute after the last start".into())
    }
}
