//! Definitions that change during a storm: what is asked for at random, and what must hold of it.
//!
//! I13: a change is in every partition or in none, one that was answered in all of them, at one stamp. I14: what is served,
//! live or beside it, is what the partition's log has put in force, and counts what it is to count.

use crate::house::{House, Plan as HousePlan};
use crate::oracle::{Log, Oracle, Person, Took, Versions, written};
use crate::port::Fault;
use crate::rng::Rng;
use crate::{judge, oracle};
use midsession::definitions::fill::{self, Fill, Next};
use midsession::definitions::plan::{self, Plan, features_in, tables_in};
use midsession_engine_local::SimDisk;
use midsession_event::{DefinitionChange, PartitionId, PropertyValue, Record, Str, Topic, hash64};
use midsession_machine::partial::FieldWindow;
use midsession_machine::{Defined, Kind, View};
use midsession_ports::{Log as _, LogError, Unit};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// Names that are defined and changed.
const NAMES: [&str; 4] = ["edge", "own_a", "own_b", "own_c"];

/// Who changes definitions, one change after the other.
pub struct Definer {
    rng: Rng,
    /// Changes in a hundred steps; 0 in storms that know of none.
    often: u64,
    /// What the files say now: names with their wording.
    filed: Vec<(String, usize)>,
    /// What they said at the first start.
    begun: Vec<(String, usize)>,
    begun_with: Option<Defined>,
    answered: BTreeSet<i64>,
    /// Its revision, where it is a change.
    under_way: Option<(Option<i64>, Outcome)>,
    /// Rules that end with a change, until it is in force everywhere.
    ending: Option<(i64, Vec<Str>)>,
    /// What the files say has been taken up.
    is_taken_up: bool,
    /// The past on its way into a definition, and as of which change it was looked for.
    fill: Option<Fill>,
    looked_at: Option<i64>,
    settles: bool,
    /// Revisions of pasts counted in from a log that had lost its beginning.
    cut: BTreeSet<i64>,
    /// Pasts counted in.
    pub filled: u64,
    /// Changes made.
    pub changes: u64,
}

/// Whether a change became durable, once that is known.
type Outcome = Arc<Mutex<Option<bool>>>;

impl Definer {
    /// With what the files are to say.
    pub fn new(mut rng: Rng, fault: Option<Fault>) -> Self {
        let often =
            if matches!(fault, Some(Fault::WindowEdge | Fault::KeepTooLittle)) { 0 } else { rng.pick(&[0, 1, 3]) };
        let mut filed = vec![("edge".to_owned(), 0)];
        if often > 0 && rng.chance(50) {
            filed.push(("own_a".to_owned(), rng.below(oracle::WORDINGS.len() as u64) as usize));
        }
        let (begun, answered) = (filed.clone(), BTreeSet::new());
        Self {
            rng,
            often,
            begun,
            begun_with: None,
            filed,
            answered,
            under_way: None,
            ending: None,
            is_taken_up: true,
            fill: None,
            looked_at: None,
            settles: false,
            cut: BTreeSet::new(),
            filled: 0,
            changes: 0,
        }
    }

    /// Changes nothing in this storm.
    pub fn is_idle(&self) -> bool {
        self.often == 0
    }

    /// Starts on what the disk holds, with the files as they are now. A fault of the disk that waited may meet the start, and
    /// a failpoint the next one; then it must do.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&mut self, disk: &SimDisk, clock_us: &Arc<AtomicI64>, plan: &HousePlan) -> Result<House, LogError> {
        let start = || self.open(disk, clock_us, plan);
        let again = |_| {
            disk.kill();
            start()
        };
        let house = start().or_else(again).or_else(again)?;
        self.begun_with.get_or_insert_with(|| house.assembly.filed());
        Ok(house)
    }

    /// Starts once.
    ///
    /// # Errors
    /// It does not start.
    pub fn open(&self, disk: &SimDisk, clock_us: &Arc<AtomicI64>, plan: &HousePlan) -> Result<House, LogError> {
        House::start(disk, clock_us, plan, &self.text(), self.begun_with.as_ref())
    }

    fn text(&self) -> String {
        self.filed.iter().map(|(name, wording)| written(name, *wording)).collect()
    }

    /// A new process: nobody knows what came of what was under way. Now and then somebody has edited a file.
    pub fn restarted(&mut self) {
        self.land();
        self.under_way = None;
        self.is_taken_up = false;
        (self.fill, self.looked_at, self.settles) = (None, None, false);
        // A start sees to it.
        self.ending = None;
        if self.often > 0 && self.rng.chance(10) {
            let wording = self.rng.below(oracle::WORDINGS.len() as u64) as usize;
            match self.rng.below(3) {
                0 => self.filed.retain(|(name, _)| name == "edge"),
                1 => self.filed[0].1 = wording,
                _ => {
                    self.filed.retain(|(name, _)| name != "own_b");
                    self.filed.push(("own_b".to_owned(), wording));
                }
            }
        }
    }

    /// Whether nobody waits for an answer.
    fn land(&mut self) -> bool {
        let Some((revision, outcome)) = &self.under_way else { return true };
        let Some(is_durable) = *outcome.lock() else { return false };
        match (is_durable, revision) {
            (true, Some(revision)) => _ = self.answered.insert(*revision),
            (true, None) => {}
            // What was not taken is to be offered again, from the beginning.
            (false, _) => (self.fill, self.ending) = (None, None),
        }
        self.under_way = None;
        true
    }

    /// Now and then a change; at the start, what the files say; meanwhile, what the log still has of the past.
    pub fn step(&mut self, house: &House, now_ms: i64) {
        if self.often == 0 || !self.land() || !house.has_caught_up() || self.settles && !house.is_settled() {
            return;
        }
        self.settles = false;
        // All partitions are as far, as the server sees to before it plans the next.
        // What waits to be written may set the rule off, as may a silence that is over; that is decided behind the change.
        let mut due_ms = house.partitions().filter_map(|number| house.stream(number)?.next_deadline_ms());
        let is_asked = house.definitions(0).rule_row(oracle::RULE).is_some();
        let is_sudden = is_asked
            && if due_ms.any(|due_ms| due_ms <= now_ms) {
                self.rng.chance(8 * self.often)
            } else {
                house.waits() && self.rng.chance(2 * self.often)
            };
        let is_turn = |rng: &mut Rng| is_sudden || rng.chance(20);
        let Some(defined) = house.defined().filter(|_| !self.is_taken_up || is_turn(&mut self.rng)) else { return };
        if !self.is_taken_up {
            let plan = plan::taken_up(&defined, &house.assembly.filed(), |file| Str::from(file));
            self.is_taken_up = plan.edits.is_empty();
            return self.change(house, &defined, plan, now_ms);
        }
        if is_sudden || self.rng.chance(5 * self.often) {
            let plan = self.draw(&defined, is_sudden);
            return self.change(house, &defined, plan, now_ms);
        }
        if self.fill(house, &defined, now_ms).is_err() {
            self.fill = None;
        }
    }

    /// A change is in force everywhere: what it ends is taken back from pages.
    pub fn take_back(&mut self, house: &House) {
        let is_there =
            |(revision, _): &mut (i64, Vec<Str>)| house.defined().is_some_and(|now| now.revision >= *revision);
        if house.has_caught_up()
            && let Some((_, rules)) = self.ending.take_if(is_there)
        {
            rules.iter().for_each(|rule| house.end_others(rule));
        }
    }

    fn fill(&mut self, house: &House, defined: &Defined, now_ms: i64) -> Result<(), LogError> {
        if self.fill.is_none() && self.looked_at != Some(defined.revision) {
            self.fill = fill::wanted(defined, house.definitions(0), house.port.as_ref(), &[])?;
            if self.fill.is_none() {
                self.looked_at = Some(defined.revision);
            }
        }
        let Some(fill) = &mut self.fill else { return Ok(()) };
        match fill.step(house.port.as_ref())? {
            Next::Read | Next::TooMany => {}
            Next::Settle => self.settles = true,
            Next::Append(unit) => {
                let outcome = Outcome::default();
                self.under_way = Some((None, Arc::clone(&outcome)));
                house.port.append(unit.into(), Box::new(move |answer| *outcome.lock() = Some(answer.is_ok())));
            }
            Next::Done(edit) => {
                self.fill = None;
                self.filled += 1;
                let is_cut =
                    |partition| house.port.extent(Topic::Behavior, PartitionId(partition)).map(|of| of.start > 0);
                if house.partitions().map(is_cut).collect::<Result<Vec<_>, _>>()?.contains(&true) {
                    self.cut.insert(defined.revision + 1);
                }
                self.change(house, defined, Plan { edits: vec![edit], ..Plan::default() }, now_ms);
            }
        }
        Ok(())
    }

    fn draw(&mut self, defined: &Defined, is_rule: bool) -> Plan {
        let kind = if is_rule || self.rng.chance(30) { Kind::Intervention } else { Kind::Feature };
        let name = if kind == Kind::Feature { self.rng.pick(&NAMES) } else { oracle::RULE };
        let versions: Vec<i64> = defined
            .of(kind, name)
            .map(|known| known.versions.iter().map(|version| version.version).collect())
            .unwrap_or_default();
        let version = match versions.len() {
            0 => None,
            more => self.rng.chance(50).then(|| versions[self.rng.below(more as u64) as usize]),
        };
        let planned = match self.rng.below(10) {
            0..=4 if kind == Kind::Intervention => {
                let wording = self.rng.below(oracle::RULES.len() as u64) as usize;
                let written = tables_in(&oracle::rule(wording), kind.name()).pop();
                let written = written.into_iter().map(|(name, text)| (kind, name, text));
                plan::put(defined, &written.collect::<Vec<_>>())
            }
            0..=4 => {
                let wording = self.rng.below(oracle::WORDINGS.len() as u64) as usize;
                plan::put(defined, &[(Kind::Feature, name.into(), features_in(&written(name, wording))[0].1.clone())])
            }
            5..=7 => plan::promote(defined, kind, name, version),
            _ => plan::remove(defined, kind, name, version),
        };
        planned.unwrap_or_default()
    }

    fn change(&mut self, house: &House, before: &Defined, plan: Plan, now_ms: i64) {
        if plan.edits.is_empty() {
            return;
        }
        let change = DefinitionChange { revision: before.revision + 1, at_ms: now_ms, edits: plan.edits };
        let mut after = before.clone();
        after.apply(&change, now_ms);
        // What is planned fits its schema; a test of the plan holds it.
        let unit: Unit = plan::unit(&change, before, &after, house.partitions().end).unwrap_or_default();
        let outcome = Outcome::default();
        self.under_way = Some((Some(change.revision), Arc::clone(&outcome)));
        self.ending = Some((change.revision, plan::ended(before, &change))).filter(|(_, rules)| !rules.is_empty());
        self.changes += 1;
        house.port.append(unit.into(), Box::new(move |answer| *outcome.lock() = Some(answer.is_ok())));
    }

    /// I13, once nothing is under way: all partitions are as far, and what was answered is there.
    pub fn judge(&mut self, logs: &[Log], house: &House, oracle: &Oracle) -> Result<(), String> {
        self.land();
        let mut of_partition = Vec::new();
        for (partition, log) in logs.iter().enumerate() {
            let versions = self.versions(log);
            if let Some(lost) = self.answered.iter().find(|revision| !versions.stamps.contains_key(revision)) {
                return Err(format!(
                    "I13: change {lost} was answered, partition {partition} has {:?}",
                    versions.stamps
                ));
            }
            let stream = house.stream(partition as u32).map(|stream| stream.defined().revision);
            if stream.is_some_and(|revision| revision != versions.revision) {
                return Err(format!("I13: partition {partition} is at {stream:?}, its log at {}", versions.revision));
            }
            let row = house.definitions(partition as u32).rule_row(oracle::RULE);
            let title = row.as_ref().and_then(|row| row["payload"]["title"].as_str());
            if title != versions.title() {
                return Err(format!(
                    "I14: partition {partition} asks by {title:?}, its log says {:?}",
                    versions.title()
                ));
            }
            of_partition.push(versions);
        }
        if let Some(two) = of_partition.windows(2).find(|two| two[0].stamps != two[1].stamps) {
            return Err(format!("I13: changes of two partitions: {:?}, {:?}", two[0].stamps, two[1].stamps));
        }
        by_product(house, oracle, &of_partition)
    }

    /// What a partition's log has put in force, followed by the oracle.
    pub fn versions(&self, log: &Log) -> Versions {
        let mut versions = Versions::begun(&self.begun);
        for (offset, (stamp_ms, record)) in log.iter().enumerate() {
            if let Record::Definition(change) = record {
                versions.read(change, offset as i64, *stamp_ms);
                if self.cut.contains(&change.revision) {
                    versions.was_cut(change);
                }
            }
        }
        versions
    }
}

/// I14: what is answered of products, over all partitions, against the oracle's acts.
fn by_product(house: &House, oracle: &Oracle, of_partition: &[Versions]) -> Result<(), String> {
    let definitions = house.definitions(0);
    let streams: Vec<_> = house.partitions().filter_map(|number| house.stream(number)).collect();
    let Some(now_ms) = streams.iter().map(|stream| stream.as_of().1).max() else { return Ok(()) };
    let ids: BTreeSet<&str> =
        oracle.took.iter().flat_map(|took| &took.act.pieces).map(|piece| piece.id.as_str()).collect();
    let begun: Vec<_> = of_partition.iter().map(Versions::of_products).collect();
    for id in ids {
        let parts = streams
            .iter()
            .flat_map(|stream| definitions.field_partials(None, stream.partials(), "product", id, now_ms));
        let served = definitions.join(None, "product", parts.collect(), &[], now_ms, &[]);
        let mut found: BTreeMap<String, PropertyValue> = BTreeMap::new();
        for one in served.into_iter().flat_map(|(_, served)| served) {
            found.extend(one.value.map(|value| (one.name.to_string(), PropertyValue::from(value))));
        }
        let Some(expected) = begun.first().filter(|of| !of.is_empty()) else { break };
        for (name, (wording, window_ms, _)) in expected {
            let window = if *window_ms == i64::MAX { FieldWindow::LIFETIME } else { FieldWindow::of(*window_ms) };
            let begins_ms = window.begins_ms(now_ms);
            let is_meant = |took: &&Took| {
                took.act.may_count()
                    && wording.counts.contains(&took.act.name.as_str())
                    && took.time_ms >= begins_ms
                    && took.act.pieces.iter().any(|piece| piece.id == id)
            };
            let of = |took: &Took| begun[took.place.0 as usize].get(name).map(|(_, _, begun)| *begun);
            let is_counted = |took: &&Took| {
                let begun = of(took);
                let begins_ms = begun.and_then(|of| of.lost_ms.max(of.day_ms.filter(|_| window.is_lifetime())));
                begun.is_some_and(|of| took.place.1 > of.after && begins_ms.is_none_or(|at_ms| took.stamp_ms > at_ms))
            };
            let least = oracle.took.iter().filter(is_meant).filter(is_counted).count() as i64;
            let found = match found.get(name) {
                Some(PropertyValue::Int(found)) => *found,
                _ => 0,
            };
            // What came before the log begins may be known by its repeats.
            let is_open = expected[name].2.lost_ms.is_some();
            if found < least || found > least && !is_open {
                return Err(format!("I14: {name} of {id} at {now_ms} is {found}, not {least}: {:?}", expected[name].2));
            }
        }
    }
    Ok(())
}

/// What the machine tells such events apart by, said once more: the oracle shares no code with it.
fn mark_of((source, id): &(String, String)) -> u16 {
    (hash64(&[source, id]) as u16).max(1)
}

/// I14: what a shopper's definitions answer, against counts over the oracle's acts.
pub fn answers(
    house: &House,
    partition: u32,
    view: &View<'_>,
    person: &Person,
    versions: &Versions,
) -> Result<(), String> {
    let mut expected = versions.answers();
    for (name, value) in house.definitions(partition).user_values(view, &[]) {
        let Some((counts, since_ms, window_ms)) = expected.remove(name.as_str()) else {
            if NAMES.iter().any(|known| name.starts_with(known)) {
                return Err(format!("I14: {name} is served, and is not in force: {versions:?}"));
            }
            continue;
        };
        let after_ms = since_ms.max(view.now_ms - window_ms);
        let within = |time_ms: i64| time_ms > after_ms && time_ms <= view.now_ms;
        let is_counted = |taken: &&oracle::Taken| counts.contains(&taken.act.name.as_str()) && within(taken.time_ms);
        let counted: Vec<_> = judge::acts(person).filter(is_counted).collect();
        let what = format!("I14: {name} at {}, since {since_ms}", view.now_ms);
        // In a past that is counted in, 16 bits of their ids tell events of one millisecond apart: of those that share them one may
        // be missing. A clock that stands still has dozens in one.
        let marks: BTreeSet<_> = counted.iter().map(|taken| (taken.time_ms, mark_of(&taken.act.key))).collect();
        let is_near =
            matches!(value, PropertyValue::Int(value) if (marks.len()..counted.len()).contains(&(value as usize)));
        if !is_near {
            judge::differ(&what, &value, &PropertyValue::Int(counted.len() as i64))?;
        }
    }
    match expected.keys().next() {
        Some(name) => Err(format!("I14: {name} is in force, and is not served")),
        None => Ok(()),
    }
}
