//! A lifetime that is put while shoppers are there: each answer says from when it counts, wherever a login has taken them.

use midsession::assemble::Assembly;
use midsession_event::{DefinitionChange, DefinitionEdit, EditKind, Event, EventName, PartitionId, Record, ShopperId};
use midsession_feature::{Key, Value};
use midsession_machine::{Definitions, Effect};
use midsession_sim::rng::Rng;
use midsession_stream::{Config, Stream};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const START_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 3_600_000;
const NAME: &str = "act_count_lifetime";
const TEXT: &str = "[[feature]]\nname = \"act_count\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"lifetime\"]\n";

/// Partitions that begin without it.
struct Shop {
    streams: Vec<Stream>,
    assemblies: Vec<Arc<Assembly>>,
}

impl Shop {
    fn new(first: &Arc<Assembly>, partitions: u32) -> Self {
        let config = Config { partitions, ..Config::default() };
        let stream = |number: u32| {
            let mut stream = Stream::new(PartitionId(number), config);
            stream.define(first.initial());
            stream
        };
        Self {
            streams: (0..partitions).map(stream).collect(),
            assemblies: vec![Arc::clone(first); partitions as usize],
        }
    }

    fn read(&mut self, partition: PartitionId, at_ms: i64, record: Record) {
        let mut waiting = vec![(partition, record)];
        while let Some((partition, record)) = waiting.pop() {
            let at = partition.0 as usize;
            let (stream, assembly) = (&mut self.streams[at], &mut self.assemblies[at]);
            let mut out = Vec::new();
            stream.on_record(stream.as_of().0 + 1, at_ms, record, &**assembly, &mut out);
            if let Some(other) = assembly.of(stream.defined()) {
                *assembly = other;
            }
            let partitions = self.streams.len() as u32;
            for effect in out.into_iter().rev() {
                match effect {
                    Effect::Handoff(handoff) => {
                        let home = ShopperId::User(handoff.user_id.clone()).partition(partitions);
                        waiting.push((home, Record::Handoff(handoff)));
                    }
                    Effect::Forward(forward) => {
                        let home = ShopperId::User(forward.user_id.clone()).partition(partitions);
                        waiting.push((home, Record::Forward(forward)));
                    }
                    _ => {}
                }
            }
        }
    }

    fn event(&mut self, at_ms: i64, visitor: &str, user: Option<&str>) {
        let name = if user.is_some() { EventName::Login } else { EventName::PageView };
        let id = format!("{visitor}-{at_ms}-{}", name.as_str());
        let mut event = Event::new("shop".into(), id.into(), name, at_ms);
        (event.visitor_id, event.user_id) = (Some(visitor.into()), user.map(Into::into));
        let partition = ShopperId::Visitor(visitor.into()).partition(self.streams.len() as u32);
        self.read(partition, at_ms, Record::Event(Box::new(event)));
    }

    fn put(&mut self, at_ms: i64) {
        let edit = |what| DefinitionEdit { text: TEXT.into(), ..DefinitionEdit::feature(what, "act_count", 1) };
        let change = DefinitionChange { revision: 1, at_ms, edits: vec![edit(EditKind::Put), edit(EditKind::Promote)] };
        for partition in 0..self.streams.len() as u32 {
            self.read(PartitionId(partition), at_ms, Record::Definition(Box::new(change.clone())));
        }
    }

    /// The value, and since when it counts.
    fn served(&self, who: &ShopperId, now_ms: i64) -> Option<(Value, Option<i64>)> {
        let at = who.partition(self.streams.len() as u32).0 as usize;
        let view = self.streams[at].view(who, now_ms)?;
        let (_, served) = self.assemblies[at].served(None, &view, Key::User, &[NAME.into()])?;
        served.into_iter().next().and_then(|served| Some((served.value?, served.since_ms)))
    }
}

fn assembly() -> Arc<Assembly> {
    let config = midsession::config::Config::parse("", Path::new("sim.toml")).unwrap();
    Arc::new(Assembly::load(&config, false).unwrap())
}

/// Visits of four devices, two of which sign in as one user at an instant of their own, before the put or after it.
#[test]
fn an_answer_says_since_when_it_counts_wherever_a_login_takes_it() {
    let assembly = assembly();
    let user = ShopperId::User("u0".into());
    let (mut marked, mut whole) = (0, 0);
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut shop = Shop::new(&assembly, rng.pick(&[1, 4]));
        let put_at = rng.pick(&[0, 1, 5, 10, 20]);
        let logins: BTreeMap<&str, i64> =
            ["v0", "v1"].into_iter().map(|visitor| (visitor, rng.pick(&[2, 6, 11, 15, 99]))).collect();
        let (mut at_ms, mut put_ms) = (START_MS, 0);
        // By whom something was done before it, and how much after it.
        let mut done: BTreeMap<ShopperId, (bool, i64)> = BTreeMap::new();
        for step in 0..30 {
            at_ms += rng.pick(&[1, 1_000, 60_000, 3_000_000]);
            if step == put_at {
                shop.put(at_ms);
                put_ms = at_ms;
                continue;
            }
            let visitor = rng.pick(&["v0", "v1", "v2", "v3"]);
            let own = ShopperId::Visitor(visitor.into());
            let signs_in = logins.get(visitor).is_some_and(|login| *login <= step);
            shop.event(at_ms, visitor, signs_in.then_some("u0"));
            let mut add = |who: &ShopperId, before: bool, count: i64| {
                let (was_before, counted) = done.entry(who.clone()).or_default();
                *was_before |= before;
                *counted += count;
            };
            add(if signs_in { &user } else { &own }, step < put_at, i64::from(step > put_at));
            if signs_in && let Some((before, count)) = done.remove(&own) {
                let (was_before, counted) = done.entry(user.clone()).or_default();
                *was_before |= before;
                *counted += count;
            }
            if step < put_at {
                continue;
            }
            for (who, (before, count)) in &done {
                let expected = Some((Value::Int(*count), before.then_some(put_ms)));
                assert_eq!(shop.served(who, at_ms), expected, "seed {seed}, step {step}: {who}");
                *(if *before { &mut marked } else { &mut whole }) += 1;
            }
        }
    }
    assert!(marked > 1_000 && whole > 1_000, "{marked} {whole}");
}

/// Nobody who comes back later has become whole meanwhile, when all else is forgotten of what they did before it.
#[test]
fn it_says_so_for_as_long_as_the_lifetime_is_held() {
    let mut shop = Shop::new(&assembly(), 1);
    let (there, new) = (ShopperId::Visitor("there".into()), ShopperId::Visitor("new".into()));
    shop.event(START_MS, "there", None);
    let put_ms = START_MS + 60_000;
    shop.put(put_ms);
    assert_eq!(shop.served(&there, put_ms), Some((Value::Int(0), Some(put_ms))));
    shop.event(put_ms + 1, "there", None);
    shop.event(put_ms + 1, "new", None);
    let later_ms = put_ms + 40 * DAY_MS;
    // Records of others, by which the partition forgets.
    for number in 0..200 {
        shop.event(later_ms + number, "other", None);
    }
    assert_eq!(shop.served(&there, later_ms + 200), None, "nothing else is known of them");
    for visitor in ["there", "new"] {
        shop.event(later_ms + 1_000, visitor, None);
    }
    assert_eq!(shop.served(&there, later_ms + 1_000), Some((Value::Int(2), Some(put_ms))));
    assert_eq!(shop.served(&new, later_ms + 1_000), Some((Value::Int(2), None)));
}
