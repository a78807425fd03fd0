//! Past every cap of a shopper, too, the same log gives the same state: from a snapshot on as from the beginning.

mod support;

use midsession_event::{Event, EventName, PartitionId, Product, Record, Unmerge, partition_of};
use midsession_machine::Effect;
use midsession_stream::{Config, Stream};
use support::Nothing;

const PARTITIONS: u32 = 2;
const START: i64 = 1_700_000_000_000;

/// A partition, and the machine that goes on from its last snapshot.
struct Pair {
    stream: Stream,
    again: Stream,
    next: i64,
}

fn saved(stream: &mut Stream) -> Vec<u8> {
    stream.begin_snapshot().expect("begins");
    let mut bytes = Vec::new();
    loop {
        let piece = stream.snapshot_some(1 << 20).expect("goes on").expect("a piece");
        bytes.extend_from_slice(&piece.bytes);
        if piece.is_last {
            return bytes;
        }
    }
}

/// Reads a record, and what comes of it wherever it goes.
fn read(pairs: &mut [Pair], partition: PartitionId, at_ms: i64, record: Record) {
    let mut routed = vec![(partition, record)];
    while let Some((partition, record)) = routed.pop() {
        let bytes = record.encode().expect("encodes");
        let record = || Record::decode(&bytes).expect("decodes");
        let pair = &mut pairs[partition.0 as usize];
        let (mut out, mut same) = (Vec::new(), Vec::new());
        pair.stream.on_record(pair.next, at_ms, record(), &Nothing, &mut out);
        pair.again.on_record(pair.next, at_ms, record(), &Nothing, &mut same);
        assert_eq!(format!("{out:?}"), format!("{same:?}"), "at {}", pair.next);
        pair.next += 1;
        let to = |key: &str| partition_of(key, PARTITIONS);
        // What one record causes arrives in its order.
        let effects = out.into_iter().rev().filter_map(|effect| match effect {
            Effect::Handoff(it) if it.returns => Some((to(it.visitor_id.as_str()), Record::Handoff(it))),
            Effect::Handoff(it) => Some((to(it.user_id.as_str()), Record::Handoff(it))),
            Effect::Forward(it) => Some((to(it.user_id.as_str()), Record::Forward(it))),
            Effect::Recall(it) => Some((to(it.user_id.as_str()), Record::Recall(it))),
            _ => None,
        });
        routed.extend(effects);
    }
}

#[test]
fn the_same_log_gives_the_same_state_past_every_cap() {
    let config =
        Config { partitions: PARTITIONS, gap_ms: 3_000, grace_ms: 1_000, cadence_ms: 500, ..Config::default() };
    let mut state = 7_u64;
    let mut below = move |most: u64| {
        // Knuth's MMIX generator; the high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let stream = |number| Stream::new(PartitionId(number), config);
    let mut pairs: Vec<Pair> =
        (0..PARTITIONS).map(|number| Pair { stream: stream(number), again: stream(number), next: 0 }).collect();
    let (mut now_ms, mut dropped) = (START, 0);
    for step in 0..20_000 {
        now_ms += below(600) as i64;
        let visitor = format!("v{}", below(4));
        let user = format!("u{}", below(2));
        let home = partition_of(&visitor, PARTITIONS);
        if below(400) == 0 {
            let (visitor_id, user_id) = (visitor.as_str().into(), user.as_str().into());
            let unmerge = Unmerge { visitor_id, user_id, asked_at_ms: now_ms, reason: None, gives_on: true };
            read(&mut pairs, home, now_ms, Record::Unmerge(Box::new(unmerge)));
            continue;
        }
        let name = match below(100) {
            0..=2 => EventName::Login,
            3 => EventName::Logout,
            4..=30 => EventName::AddToCart,
            31..=40 => EventName::Transaction,
            _ => EventName::ProductView,
        };
        let late_ms = if below(5) == 0 { below(6_000) as i64 } else { 0 };
        let mut event = Event::new("shop".into(), format!("e{step}").into(), name.clone(), now_ms - late_ms);
        event.visitor_id = Some(visitor.as_str().into());
        event.user_id = (name == EventName::Login).then(|| user.as_str().into());
        event.products = vec![Product { id: format!("p{}", below(9)).into(), price: Some(1.5), ..Product::default() }];
        read(&mut pairs, home, now_ms, Record::Event(Box::new(event)));
        if step % 500 == 499 {
            for (number, pair) in pairs.iter_mut().enumerate() {
                let (one, other) = (saved(&mut pair.stream), saved(&mut pair.again));
                let first = pair.stream.first_difference(&pair.again);
                assert!(one == other, "step {step}: partition {number} goes on otherwise from a snapshot: {first:?}");
                pair.again = Stream::restore(PartitionId(number as u32), config, one.as_slice()).expect("restores");
            }
            dropped = pairs.iter().map(|pair| pair.stream.counters().sessions_dropped).sum();
        }
    }
    assert!(dropped > 100, "{dropped} sessions over their cap");
}
