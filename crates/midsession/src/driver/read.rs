//! Reads of what the owners keep: answered, or refused with the reason, never answered with less than is known.

use super::threads::{Driver, DriverError, Seen};
use midsession_edge::Unreadable;
use midsession_event::PartitionId;
use midsession_machine::Definitions;
use tokio::sync::oneshot;

impl<D: Definitions + Send + Sync + 'static> Driver<D> {
    /// Asks one partition, at whatever place in its log it is.
    pub async fn look<T: Send + 'static>(
        &self,
        partition: PartitionId,
        question: impl FnOnce(Seen<'_, D>) -> T + Send + 'static,
    ) -> Result<T, Unreadable> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.ask(partition, move |seen| {
            let stream = seen.stream;
            let answer = question(seen);
            // What is made of facts that could not be read is no answer.
            if stream.spill_failure().is_none() {
                // The asker may have gone: nobody to tell.
                let _ = sender.send(answer);
            }
        });
        let error = match asked {
            Err(error) => error,
            Ok(()) => match receiver.await {
                Ok(answer) => return Ok(answer),
                Err(_) => self.failure().map_or(DriverError::Stopping, DriverError::Log),
            },
        };
        tracing::warn!(%error, "a read was turned away");
        Err(match error {
            DriverError::Busy => Unreadable::Busy,
            DriverError::Stopping | DriverError::Log(_) => Unreadable::Stopped(error.to_string()),
        })
    }

    /// Likewise every partition at once.
    pub async fn look_all<T: Send + 'static>(
        &self,
        question: impl Fn(Seen<'_, D>) -> T + Send + Clone + 'static,
    ) -> Vec<Result<T, Unreadable>> {
        let looks = (0..self.partitions()).map(|partition| self.look(PartitionId(partition), question.clone()));
        futures_util::future::join_all(looks).await
    }

    /// Asks one partition, provided that it knows all that it knew before the start.
    pub async fn read<T: Send + 'static>(
        &self,
        partition: PartitionId,
        question: impl FnOnce(Seen<'_, D>) -> T + Send + 'static,
    ) -> Result<T, Unreadable> {
        self.look(partition, |seen| replayed(seen, question)).await?
    }

    /// Likewise every partition at once.
    pub async fn read_all<T: Send + 'static>(
        &self,
        question: impl Fn(Seen<'_, D>) -> T + Send + Clone + 'static,
    ) -> Vec<Result<T, Unreadable>> {
        let answers = self.look_all(move |seen| replayed(seen, &question)).await;
        answers.into_iter().map(|answer| answer?).collect()
    }

    /// What one of the partitions has; of several, the one with the largest rank. Nobody has it only if all of them could
    /// say so.
    pub async fn find<T: Send + 'static>(
        &self,
        question: impl Fn(Seen<'_, D>) -> Option<(i64, T)> + Send + Clone + 'static,
    ) -> Result<Option<T>, Unreadable> {
        let mut nowhere = Ok(None);
        let mut found: Option<(i64, T)> = None;
        for answer in self.read_all(question).await {
            match answer {
                Ok(Some(one)) if found.as_ref().is_none_or(|found| one.0 > found.0) => found = Some(one),
                Ok(_) => {}
                Err(cause) => nowhere = Err(cause),
            }
        }
        found.map_or(nowhere, |(_, found)| Ok(Some(found)))
    }
}

/// Asks, provided that the partition knows all that it knew before the start.
fn replayed<D, T>(seen: Seen<'_, D>, question: impl FnOnce(Seen<'_, D>) -> T) -> Result<T, Unreadable> {
    if seen.is_replaying { Err(Unreadable::Loading) } else { Ok(question(seen)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::Assembly;
    use crate::config::Config;
    use crate::driver::{Around, Cause, Clock, Decider, Sink, SnapshotRule};
    use futures_util::FutureExt;
    use midsession_engine_local::{LocalSnapshots, SimDisk};
    use midsession_event::{Decision, Event, EventName, Record, ShopperId, Topic};
    use midsession_machine::{Candidate, Place, Spill, SpillError};
    use midsession_ports::{
        Done, Entry, Extent, Log, LogError, Position, SnapshotDone, SnapshotPiece, Snapshots, Unit, Wake,
    };
    use midsession_stream::Spilling;
    use parking_lot::Mutex;
    use std::io::BufRead;
    use std::sync::Arc;
    use std::time::Duration;

    /// What a partition's log does when read; nobody reads while a test holds the lock.
    #[derive(Clone, Copy, PartialEq)]
    enum Does {
        Nothing,
        Reads,
        Fails,
    }

    /// Two partitions of one record each to read, which was there before the start; the second one is slow.
    struct SlowLog {
        does: Mutex<Does>,
        /// What took effect before the start.
        position: i64,
        end: i64,
    }

    impl Log for SlowLog {
        fn partitions(&self, _: Topic) -> u32 {
            2
        }
        fn append(&self, _: Arc<Unit>, _: Done) {}
        fn read(
            &self,
            _: Topic,
            partition: PartitionId,
            offset: i64,
            _: usize,
            out: &mut Vec<Entry>,
        ) -> Result<(), LogError> {
            let does = *self.does.lock();
            match if partition.0 == 0 { Does::Reads } else { does } {
                Does::Nothing => {}
                // Any record takes the partition on, also one that is not ours.
                Does::Reads => {
                    let value = (partition == QUICK).then(seen_once);
                    out.extend((offset < 1).then(|| Entry { offset, stamp_ms: 1, key: "k".into(), value }));
                }
                Does::Fails => return Err(LogError::Failed { cause: "a test's doing".into() }),
            }
            Ok(())
        }
        fn extent(&self, _: Topic, _: PartitionId) -> Result<Extent, LogError> {
            Ok(Extent { start: 0, end: self.end, bytes: 1 })
        }
        fn offset_at(&self, _: Topic, _: PartitionId, _: i64) -> Result<i64, LogError> {
            Ok(0)
        }
        fn position(&self, _: PartitionId) -> i64 {
            self.position
        }
        fn on_commit(&self, _: Wake) {}
        fn keep_from(&self, _: &[Position]) {}
    }

    /// An event of a visitor.
    fn seen_once() -> bytes::Bytes {
        let mut event = Event::new("shop".into(), "e".into(), EventName::PageView, 1);
        event.visitor_id = Some("v".into());
        Record::Event(Box::new(event)).encode().expect("encodes").into()
    }

    /// A disk that takes everything and gives nothing back.
    struct Loses;

    impl Spill for Loses {
        fn put(&mut self, bytes: &[u8]) -> Result<Place, SpillError> {
            Ok(Place { at: 0, bytes: bytes.len() as u32, id: 0 })
        }
        fn get(&self, _: Place, _: &mut Vec<u8>) -> Result<(), SpillError> {
            Err(SpillError::Failed("a test's disk".into()))
        }
        fn free(&mut self, _: Place) {}
    }

    /// A snapshot that is there and can't be opened now.
    struct Shut;

    impl Snapshots for Shut {
        fn write(&self, _: SnapshotPiece, _: SnapshotDone) {
            unreachable!("nothing is begun")
        }
        fn list(&self, _: PartitionId) -> Result<Vec<i64>, LogError> {
            Ok(vec![1])
        }
        fn set_aside(&self, _: PartitionId, _: i64) -> Result<(), LogError> {
            unreachable!("it may be sound")
        }
        fn open(&self, _: PartitionId, _: i64) -> Result<Box<dyn BufRead + Send>, LogError> {
            Err(LogError::Failed { cause: "too many open files".into() })
        }
    }

    struct Nobody;
    impl Sink for Nobody {}
    impl<D> Decider<D> for Nobody {
        fn decide(&self, _: &Candidate, _: &D, _: i64, _: Option<Cause>) -> Decision {
            unreachable!("nothing is asked")
        }
    }

    const QUICK: PartitionId = PartitionId(0);
    const SLOW: PartitionId = PartitionId(1);

    fn start(does: Does) -> (Arc<SlowLog>, Arc<Driver<Assembly>>) {
        start_at(does, 1, 1)
    }

    fn start_at(does: Does, position: i64, end: i64) -> (Arc<SlowLog>, Arc<Driver<Assembly>>) {
        let none = LocalSnapshots::open_threadless(SimDisk::default().process(), std::path::Path::new("/data"));
        start_from(Arc::new(none.expect("opens")), does, position, end)
    }

    fn start_from(
        snapshots: Arc<dyn Snapshots>,
        does: Does,
        position: i64,
        end: i64,
    ) -> (Arc<SlowLog>, Arc<Driver<Assembly>>) {
        let log = Arc::new(SlowLog { does: Mutex::new(does), position, end });
        let config = Config::default();
        let assembly = Arc::new(Assembly::load(&config, false).expect("loads"));
        let clock: Clock = Arc::new(|| 1_000_000);
        let (decider, sink): (Arc<dyn Decider<Assembly>>, Arc<dyn Sink>) = (Arc::new(Nobody), Arc::new(Nobody));
        let around = Around {
            log: log.clone(),
            snapshots,
            snapshot_rule: SnapshotRule::of(2),
            spills: Arc::new(|_| Some(Spilling::new(Box::new(Loses), 0))),
            accept_lost_state: true,
            definitions: assembly,
            decider,
            sink,
        };
        let driver = Driver::start(&around, config.stream(2), 1, &clock).expect("starts");
        (log, driver)
    }

    fn stopped<T>(answer: &Result<T, Unreadable>, why: &str) -> bool {
        matches!(answer, Err(Unreadable::Stopped(cause)) if cause.contains(why))
    }

    #[tokio::test]
    async fn what_replays_is_not_read() {
        let (log, driver) = start(Does::Nothing);
        assert_eq!(driver.read(SLOW, |_| ()).await, Err(Unreadable::Loading));
        assert_eq!(driver.look(SLOW, |seen| seen.is_replaying).await, Ok(true));
        while driver.read(QUICK, |_| ()).await == Err(Unreadable::Loading) {}
        assert_eq!(driver.read(QUICK, |_| 7).await, Ok(7), "the other one is through");
        let at =
            |wanted: PartitionId| driver.find(move |seen| (seen.stream.partition() == wanted).then_some((0, wanted)));
        assert_eq!(at(QUICK).await, Ok(Some(QUICK)));
        assert_eq!(at(PartitionId(9)).await, Err(Unreadable::Loading), "it may be in the one that replays");
        *log.does.lock() = Does::Reads;
        while driver.read(SLOW, |_| ()).await == Err(Unreadable::Loading) {}
        assert_eq!(at(PartitionId(9)).await, Ok(None));
        assert_eq!(driver.read_all(|seen| seen.stream.partition().0).await, [Ok(0), Ok(1)]);
        let by = |sign: i64| {
            let rank = move |partition: PartitionId| sign * i64::from(partition.0);
            driver.find(move |seen| Some((rank(seen.stream.partition()), seen.stream.partition())))
        };
        assert_eq!((by(1).await, by(-1).await), (Ok(Some(SLOW)), Ok(Some(QUICK))), "the largest rank");
        driver.stop(Duration::ZERO);
    }

    #[tokio::test]
    async fn what_had_not_taken_effect_before_the_start_is_waited_for_too() {
        let (log, driver) = start_at(Does::Nothing, 0, 1);
        assert_eq!(driver.read(SLOW, |_| ()).await, Err(Unreadable::Loading), "its event was acknowledged");
        // Told after a turn of its owner, which this one may be ahead of.
        let mut progress = driver.progress();
        while progress.replay_total == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            progress = driver.progress();
        }
        assert!(progress.replaying > 0 && progress.replay_total == 2, "{progress:?}");
        *log.does.lock() = Does::Reads;
        while driver.read(SLOW, |_| ()).await == Err(Unreadable::Loading) {}
        assert_eq!(driver.read(SLOW, |_| 7).await, Ok(7));
        driver.stop(Duration::ZERO);
    }

    #[tokio::test]
    async fn a_backlog_is_as_old_as_what_waits_in_it() {
        // What is stamped 1 is read at 1,000, and more waits behind it.
        let (_, driver) = start_at(Does::Nothing, 1, 2);
        while driver.look(QUICK, |seen| seen.stream.as_of().0).await.expect("answers") < 0 {}
        driver.look(QUICK, |_| ()).await.expect("as of the turn before");
        driver.look(QUICK, |_| ()).await.expect("after the turn that read it");
        assert_eq!(driver.progress().behind_since_ms, Some(1));
        driver.stop(Duration::ZERO);
    }

    #[tokio::test]
    async fn what_is_made_of_facts_that_are_lost_is_no_answer() {
        let (_, driver) = start(Does::Reads);
        while driver.read(QUICK, |_| ()).await == Err(Unreadable::Loading) {}
        let known = driver.read(QUICK, |seen| seen.stream.len()).await;
        assert_eq!(known, Ok(1), "it needs no facts");
        let facts = |seen: Seen<'_, Assembly>| {
            let view = seen.stream.view(&ShopperId::Visitor("v".into()), seen.now_ms);
            view.map(|view| view.facts.all().len())
        };
        assert!(matches!(driver.read(QUICK, facts).await, Err(Unreadable::Stopped(_))));
        while driver.failure().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(stopped(&driver.read(SLOW, |_| ()).await, "a test's disk"), "the others learn why");
    }

    #[tokio::test]
    async fn who_waits_in_a_long_queue_is_told() {
        let (log, driver) = start(Does::Nothing);
        {
            let held = log.does.lock();
            while driver.ask(SLOW, |_| ()).is_ok() {}
            assert_eq!(driver.read(SLOW, |_| ()).now_or_never(), Some(Err(Unreadable::Busy)));
            drop(held);
        }
        while driver.look(SLOW, |_| ()).await == Err(Unreadable::Busy) {}
        driver.stop(Duration::ZERO);
    }

    #[tokio::test]
    async fn a_snapshot_that_can_not_be_opened_now_is_not_given_up() {
        let (_, driver) = start_from(Arc::new(Shut), Does::Reads, 1, 1);
        while driver.read(QUICK, |_| ()).await == Err(Unreadable::Loading) {}
        assert!(stopped(&driver.read(QUICK, |_| ()).await, "too many open files"));
    }

    #[tokio::test]
    async fn an_owner_that_stopped_says_so() {
        let (log, driver) = start(Does::Nothing);
        *log.does.lock() = Does::Fails;
        while driver.read(SLOW, |_| ()).await == Err(Unreadable::Loading) {}
        assert!(stopped(&driver.read(SLOW, |_| ()).await, "a test's doing"));
        let (_, driver) = start(Does::Reads);
        driver.stop(Duration::ZERO);
        // Nobody will ever look at the question.
        let answer = tokio::time::timeout(Duration::from_secs(60), driver.read(SLOW, |_| ())).await;
        assert!(stopped(&answer.expect("an answer"), "shutting down"));
    }
}
