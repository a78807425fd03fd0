//! Facts over a budget are elsewhere, and nothing else is different.

mod support;

use midsession_event::{Event, EventName, PartitionId, Product, Record, ShopperId};
use midsession_machine::{FACTS_KEPT_MS, Place, Spill, SpillError};
use midsession_stream::{Config, Spilling, Stream};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use support::Nothing;

const START_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

/// A store that a test looks into.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: BTreeMap<u32, Vec<u8>>,
    next: u32,
    gets: usize,
    is_full: bool,
}

impl Spill for Store {
    fn put(&mut self, bytes: &[u8]) -> Result<Place, SpillError> {
        let mut state = self.0.lock().expect("no panic");
        if state.is_full {
            return Err(SpillError::Full(0));
        }
        state.next += 1;
        let id = state.next;
        state.entries.insert(id, bytes.to_vec());
        Ok(Place { at: 0, bytes: bytes.len() as u32, id })
    }
    fn get(&self, place: Place, out: &mut Vec<u8>) -> Result<(), SpillError> {
        let mut state = self.0.lock().expect("no panic");
        state.gets += 1;
        let entry = state.entries.get(&place.id).ok_or_else(|| SpillError::Failed("it is not there".into()))?;
        out.extend_from_slice(entry);
        Ok(())
    }
    fn free(&mut self, place: Place) {
        let gone = self.0.lock().expect("no panic").entries.remove(&place.id);
        assert!(gone.is_some(), "{place:?} is not there");
    }
}

impl Store {
    fn entries(&self) -> usize {
        self.0.lock().expect("no panic").entries.len()
    }
    fn gets(&self) -> usize {
        self.0.lock().expect("no panic").gets
    }
    fn set_full(&self, is_full: bool) {
        self.0.lock().expect("no panic").is_full = is_full;
    }
    /// What is there is gone.
    fn lose(&self) {
        self.0.lock().expect("no panic").entries.clear();
    }
}

struct Partition {
    stream: Stream,
    next: i64,
}

impl Partition {
    fn new(spilling: Option<Spilling>) -> Self {
        let mut stream = Stream::new(PartitionId(0), Config::default());
        spilling.into_iter().for_each(|spilling| stream.spill(spilling));
        Self { stream, next: 0 }
    }

    fn with(store: &Store, bytes_max: usize) -> Self {
        Self::new(Some(Spilling::new(Box::new(store.clone()), bytes_max)))
    }

    fn view(&mut self, visitor: &str, at_ms: i64, product: &str, bot: bool) {
        self.list(visitor, at_ms, [product.to_owned()], bot);
    }

    /// An event with a fact for each of these.
    fn list(&mut self, visitor: &str, at_ms: i64, products: impl IntoIterator<Item = String>, bot: bool) {
        let id = format!("e{}", self.next);
        let mut event = Event::new("shop".into(), id.as_str().into(), EventName::ProductView, at_ms);
        event.visitor_id = Some(visitor.into());
        event.bot = bot;
        let product = |id: String| Product { id: id.as_str().into(), price: Some(1.0), ..Product::default() };
        event.products = products.into_iter().map(product).collect();
        self.read(at_ms, Record::Event(Box::new(event)));
    }

    fn tick(&mut self, at_ms: i64) {
        self.read(at_ms, Record::Tick(midsession_event::Tick { due_ms: at_ms }));
    }

    fn read(&mut self, at_ms: i64, record: Record) {
        self.stream.on_record(self.next, at_ms, record, &Nothing, &mut Vec::new());
        self.next += 1;
    }

    fn facts(&self, visitor: &str) -> usize {
        let (_, now_ms) = self.stream.as_of();
        self.stream.view(&ShopperId::Visitor(visitor.into()), now_ms).map_or(0, |view| view.facts.all().len())
    }

    /// All of the state.
    fn whole(&mut self) -> Vec<u8> {
        self.stream.begin_snapshot().expect("begins");
        self.stream.snapshot_some(usize::MAX).expect("is written").expect("is under way").bytes
    }
}

#[test]
fn thirty_thousand_facts_of_a_person_count_and_a_robot_has_its_cap() {
    for (bot, at_least, at_most) in [(false, 30_000, 30_000), (true, 15_000, 20_000)] {
        let store = Store::default();
        let mut partition = Partition::with(&store, 0);
        for number in 0..1_000 {
            // Somebody else comes between.
            let who = if number % 100 == 7 { "w" } else { "v" };
            partition.list(who, START_MS + number * 80_000, (0..30).map(|number| format!("p{number}")), bot);
        }
        let facts = partition.facts("v") + partition.facts("w");
        assert!((at_least..=at_most).contains(&facts), "{facts} facts, robot {bot}");
        assert_eq!(partition.stream.counters().facts_dropped == 0, !bot);
        assert_eq!(store.entries(), 2);
    }
}

#[test]
fn names_that_are_numbered_anew_are_so_in_facts_elsewhere() {
    let store = Store::default();
    let (mut rich, mut poor) = (Partition::new(None), Partition::with(&store, 2_000));
    for partition in [&mut rich, &mut poor] {
        // More names than are kept, and then time for the first of them to go.
        for number in 0..3_500 {
            let products = (0..40).map(|product| format!("sku-{number}-{product}"));
            partition.list(&format!("v{}", number % 50), START_MS + number * 40_000, products, false);
        }
    }
    assert_eq!(rich.whole(), poor.whole());
    assert!(store.entries() > 40 && store.gets() > 3_000, "{} entries, {} gets", store.entries(), store.gets());
    let view = poor.stream.view(&ShopperId::Visitor("v7".into()), poor.stream.as_of().1).expect("known");
    assert!(view.names.len() < 140_000, "numbered anew");
    for fact in view.facts.all() {
        let begin = format!("sku-{}-", (fact.time_ms - START_MS) / 40_000);
        assert!(view.names.name(fact.product).is_some_and(|name| name.starts_with(&begin)), "{begin} {fact:?}");
    }
}

#[test]
fn memory_stays_under_the_budget_and_who_was_heard_lately_stays_in_it() {
    const SHOPPERS: i64 = 2_000;
    const BUDGET: usize = 100_000;
    let store = Store::default();
    let (mut rich, mut poor) = (Partition::new(None), Partition::with(&store, BUDGET));
    let mut most = 0;
    for partition in [&mut rich, &mut poor] {
        for number in 0..SHOPPERS * 20 {
            partition.view(&format!("v{}", number / 20), START_MS + number * 10, "p", false);
            if number % 1_000 == 0 {
                most = partition.stream.heap_bytes();
            }
        }
        most = most.max(partition.stream.heap_bytes());
    }
    let facts = SHOPPERS as usize * 20 * 32;
    let saved = rich.stream.heap_bytes() - most;
    // What is left of each is where its facts are.
    assert!(saved >= facts - BUDGET - SHOPPERS as usize * 100, "{saved} bytes of {facts}");
    assert!(store.entries() > SHOPPERS as usize * 8 / 10);
    let gets = store.gets();
    assert_eq!(gets, 0, "each was written once");
    poor.view(&format!("v{}", SHOPPERS - 1), START_MS + SHOPPERS * 200, "p", false);
    assert_eq!(store.gets(), gets, "the last one is in memory");
    poor.view("v0", START_MS + SHOPPERS * 200, "p", false);
    assert_eq!((store.gets(), poor.facts("v0")), (gets + 1, 21));
}

#[test]
fn what_finds_no_room_stays_in_memory_and_goes_when_there_is_some() {
    let store = Store::default();
    let mut partition = Partition::with(&store, 0);
    store.set_full(true);
    for number in 0..600 {
        partition.view(&format!("v{}", number % 10), START_MS + number, "p", false);
    }
    assert_eq!((store.entries(), partition.facts("v3")), (0, 60));
    store.set_full(false);
    for number in 600..1_000 {
        partition.view("v0", START_MS + number, "p", false);
    }
    assert_eq!((store.entries(), partition.facts("v3"), partition.facts("v0")), (10, 60, 460));
    assert_eq!(partition.stream.spill_failure(), None);
}

#[test]
fn what_can_not_be_read_is_said_and_no_snapshot_is_without_it() {
    let store = Store::default();
    let mut partition = Partition::with(&store, 0);
    partition.view("v", START_MS, "p", false);
    store.lose();
    assert_eq!(partition.stream.spill_failure(), None, "nobody has asked");
    partition.stream.begin_snapshot().expect("begins");
    let refused = partition.stream.snapshot_some(usize::MAX).expect_err("not without them").to_string();
    assert!(refused.contains("it is not there"), "{refused}");
    let failure = partition.stream.spill_failure().expect("said");
    assert!(failure.contains("it is not there") && failure.contains("A restart"), "{failure}");
}

#[test]
fn what_is_past_its_time_goes_without_being_read() {
    let store = Store::default();
    let mut partition = Partition::with(&store, 0);
    for number in 0..50 {
        partition.view(&format!("v{number}"), START_MS, "p", false);
    }
    assert_eq!(store.entries(), 50);
    for at_ms in [START_MS + HOUR_MS, START_MS + 13 * HOUR_MS] {
        (0..300).for_each(|_| partition.tick(at_ms));
    }
    assert_eq!((store.entries(), store.gets()), (50, 0), "their sessions are forgotten, their facts are not");
    (0..300).for_each(|_| partition.tick(START_MS + FACTS_KEPT_MS));
    assert_eq!((store.entries(), store.gets(), partition.stream.len()), (0, 0, 0));
}

#[test]
fn a_state_that_is_taken_up_is_under_the_budget_at_once() {
    let mut rich = Partition::new(None);
    for number in 0..3_000 {
        rich.view(&format!("v{}", number % 300), START_MS + number, "p", false);
    }
    let bytes = rich.whole();
    let store = Store::default();
    let poor = Partition::with(&store, 10_000);
    let mut taken_up = Partition { stream: poor.stream.restored(bytes.as_slice()).expect("reads"), next: 3_000 };
    assert!(store.entries() > 250, "{}", store.entries());
    assert_eq!(taken_up.whole(), bytes);
}

#[test]
fn what_is_elsewhere_is_no_difference_and_another_event_is_named() {
    let store = Store::default();
    let [mut rich, mut poor, mut other] =
        [Partition::new(None), Partition::with(&store, 0), Partition::with(&store, 0)];
    for (partition, last) in [(&mut rich, "p1"), (&mut poor, "p1"), (&mut other, "p0")] {
        for number in 0..9 {
            partition.view(&format!("v{}", number % 3), START_MS + number, &format!("p{number}"), false);
        }
        partition.view("v2", START_MS + 10, last, false);
    }
    assert!(store.entries() > 0);
    assert_eq!(rich.stream.first_difference(&poor.stream), None);
    assert_eq!(
        poor.stream.first_difference(&other.stream),
        Some("the facts of the shopper in slot 2".to_owned()),
        "each has the names of nine products, and another one last"
    );
    poor.tick(START_MS + 20);
    let first = poor.stream.first_difference(&rich.stream).expect("one is ahead");
    assert!(first.starts_with("it is as of"), "{first}");
}
