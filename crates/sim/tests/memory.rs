//! A million new ids within a minute do not take more memory than the caps allow. A program of its own: it looks at all
//! the memory that its process has.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use midsession::assemble::Assembly;
use midsession::config::Config;
use midsession_event::{Event, EventName, PartitionId, Product, Record, ShopperId, partition_of};
use midsession_machine::Effect;
use midsession_sim::scenario::START_MS;
use midsession_stream::Stream;
use std::path::Path;

const PARTITIONS: u32 = 4;
const SHOPPERS_MAX: u32 = 40_000;
const MINUTE_MS: i64 = 60_000;

/// Memory that the process has. Bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

struct Partitions {
    streams: Vec<Stream>,
    next: Vec<i64>,
    assembly: Assembly,
    out: Vec<Effect>,
}

impl Partitions {
    /// Takes a record, and what it sends to other partitions.
    fn read(&mut self, partition: PartitionId, stamp_ms: i64, record: Record) {
        let mut waiting = vec![(partition, record)];
        while let Some((PartitionId(number), record)) = waiting.pop() {
            let (index, mut out) = (number as usize, std::mem::take(&mut self.out));
            self.streams[index].on_record(self.next[index], stamp_ms, record, &self.assembly, &mut out);
            self.next[index] += 1;
            // The last one first: they are taken from the end.
            for effect in out.drain(..).rev() {
                let (key, record) = match effect {
                    Effect::Handoff(handoff) => (handoff.user_id.to_string(), Record::Handoff(handoff)),
                    Effect::Forward(forward) => (forward.user_id.to_string(), Record::Forward(forward)),
                    _ => continue,
                };
                waiting.push((partition_of(&key, PARTITIONS), record));
            }
            self.out = out;
        }
    }

    fn event(&mut self, number: i64, stamp_ms: i64, visitor: &str) {
        let name = if number % 3 == 0 { EventName::AddToCart } else { EventName::ProductView };
        let mut event = Event::new("shop".into(), format!("event-{number}").into(), name, stamp_ms);
        event.visitor_id = Some(visitor.into());
        event.user_id = (number % 10 == 9).then(|| format!("user-{number}").as_str().into());
        event.tracker_session_id = Some(format!("session-{number}").into());
        event.products = vec![Product {
            id: format!("product-{number}").into(),
            category: Some(format!("category-{}", number % 50).into()),
            price: Some(1.0),
            ..Product::default()
        }];
        let partition = partition_of(event.key(), PARTITIONS);
        self.read(partition, stamp_ms, Record::Event(Box::new(event)));
    }
}

#[test]
fn a_million_new_ids_a_minute_stay_under_the_caps() {
    let ids: i64 = std::env::var("MIDSESSION_MEMORY_IDS").map_or(1_000_000, |text| text.parse().unwrap());
    let config = Config::parse(&format!("shoppers_max = {SHOPPERS_MAX}\n"), Path::new("memory.toml")).unwrap();
    let stream = config.stream(PARTITIONS);
    let mut partitions = Partitions {
        streams: (0..PARTITIONS).map(|number| Stream::new(PartitionId(number), stream)).collect(),
        next: vec![0; PARTITIONS as usize],
        assembly: Assembly::load(&config, true).unwrap(),
        out: Vec::new(),
    };
    let held = |partitions: &Partitions| partitions.streams.iter().map(Stream::heap_bytes).sum::<usize>();
    // A quarter as many before, so that every cap is reached.
    let (mut full, mut peak) = ((0, 0), (0, 0));
    for number in 0..ids * 5 / 4 {
        let stamp_ms = START_MS + number * MINUTE_MS / 1_000_000;
        partitions.event(number, stamp_ms, &format!("visitor-{number}"));
        if number % 10_000 == 9 {
            let seen = (held(&partitions), resident());
            peak = (peak.0.max(seen.0), peak.1.max(seen.1));
        }
        if number == ids / 4 {
            full = peak;
        }
    }
    let (full_held, full_resident) = full;
    let (peak_held, peak_resident) = peak;
    let shoppers: usize = partitions.streams.iter().map(Stream::len).sum();
    let mib = |bytes: usize| bytes / (1 << 20);
    println!(
        "{ids} new ids in a minute of the log: {shoppers} shoppers of {SHOPPERS_MAX}, {} MiB in partitions, {} MiB in the process \
         ({} and {} when the caps were reached)",
        mib(peak_held),
        mib(peak_resident),
        mib(full_held),
        mib(full_resident)
    );
    // The caps are a quarter more per partition than the even share.
    assert!(shoppers <= SHOPPERS_MAX as usize * 5 / 4, "{shoppers} shoppers");
    assert!(peak_held <= shoppers * 2_048, "{} bytes per shopper", peak_held / shoppers);
    assert!(peak_held <= full_held * 11 / 10, "{peak_held} bytes held, {full_held} when the caps were reached");
    assert!(
        peak_resident <= full_resident + (16 << 20),
        "{peak_resident} bytes, {full_resident} when the caps were reached"
    );
    for stream in &partitions.streams {
        let counters = stream.counters();
        assert!(counters.adds_up() && counters.shoppers_dropped > 0, "{counters:?}");
        assert_eq!(stream.violations().total(), 0, "{:?}", stream.violations());
    }
    let last = ShopperId::Visitor(format!("visitor-{}", ids * 5 / 4 - 2).as_str().into());
    assert!(partitions.streams.iter().any(|stream| stream.view(&last, START_MS).is_some()), "the last one is known");
}
