//! The tables over the real log: what is durable is in force, over restarts, compaction and beside joins.

use super::*;
use midsession_collect::context::{RowFormat, read_rows};
use midsession_engine_local::{Config, LocalLog, RealDisk};
use midsession_event::{EventName, Product, PropertyValue};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

const NOW_MS: i64 = 1_700_000_000_000;

struct Rig {
    folder: tempfile::TempDir,
    clock_ms: Arc<AtomicI64>,
    config: ContextConfig,
    journal_bytes: u64,
}

impl Rig {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            clock_ms: Arc::new(AtomicI64::new(NOW_MS)),
            config: ContextConfig::default(),
            journal_bytes: 256 << 20,
        }
    }

    /// A start of the server.
    fn open(&self) -> Arc<ContextTables> {
        let clock_ms = Arc::clone(&self.clock_ms);
        let config = Config { journal_bytes: self.journal_bytes, ..Config::new(self.folder.path()) };
        let log = LocalLog::open(Arc::new(RealDisk), Arc::new(move || clock_ms.load(Ordering::Relaxed)), config);
        let tables = ContextTables::new(&self.config, Arc::new(log.expect("opens")), Observe::new());
        tables.catch_up().expect("reads");
        Arc::new(tables)
    }
}

fn row(kind: ContextKind, id: &str, values: &[(&str, PropertyValue)]) -> Context {
    let values: BTreeMap<Str, PropertyValue> =
        values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    Context { kind, id: id.into(), values: values.into() }
}

fn stock(id: &str, stock: i64) -> Context {
    row(ContextKind::Inventory, id, &[("stock", PropertyValue::Int(stock)), ("again", PropertyValue::Int(stock))])
}

fn view(product: &str) -> Event {
    let mut event = Event::new("shop".into(), "e1".into(), EventName::ProductView, NOW_MS);
    event.products = vec![Product { id: product.into(), ..Product::default() }];
    event
}

fn count(tables: &ContextTables, metric: Metric, label: &str) -> i64 {
    tables.observe.metrics.get(metric, Some(label))
}

#[tokio::test]
async fn what_was_put_is_in_force_at_once_and_after_a_restart() {
    let rig = Rig::new();
    let first = {
        let tables = rig.open();
        let rows = vec![
            stock("a", 1),
            stock("b", 2),
            stock("a", 3),
            row(ContextKind::Price, "a", &[("price", PropertyValue::Float(9.5))]),
        ];
        assert_eq!(tables.put(rows).await.expect("durable"), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(tables.remove(ContextKind::Inventory, "b").await, Ok(Some(4)));
        assert_eq!(tables.remove(ContextKind::Inventory, "b").await, Ok(None), "twice");
        assert_eq!(tables.put(vec![stock("c", 0)]).await.expect("durable"), [Some(5)]);
        rig.clock_ms.fetch_add(5_000, Ordering::Relaxed);
        assert!(tables.row(ContextKind::Inventory, "b", NOW_MS).is_none());
        tables.row(ContextKind::Inventory, "a", NOW_MS + 5_000).expect("a row")
    };
    assert_eq!(first["values"], json!({"stock": 3, "again": 3}));
    assert_eq!((&first["version"], &first["age_ms"], &first["stale"]), (&json!(2), &json!(5_000), &json!(false)));
    assert_eq!(first["at"], "2023-11-14T22:13:20Z");
    let tables = rig.open();
    assert_eq!(tables.row(ContextKind::Inventory, "a", NOW_MS + 5_000), Some(first), "the same after a restart");
    assert!(tables.row(ContextKind::Inventory, "b", NOW_MS).is_none(), "gone after a restart");
    assert_eq!(tables.row(ContextKind::Inventory, "c", NOW_MS).map(|row| row["version"].clone()), Some(json!(5)));
    assert_eq!(tables.row(ContextKind::Price, "a", NOW_MS).map(|row| row["version"].clone()), Some(json!(3)));
    assert_eq!(tables.put(vec![stock("d", 1)]).await.expect("durable"), [Some(6)], "versions go on");
}

/// Whoever put the record there.
#[tokio::test]
async fn what_is_personal_in_a_row_of_the_topic_stands_on_no_event() {
    let rig = Rig::new();
    let text = |text: &str| PropertyValue::Text(text.into());
    let values = [("brand", text("Lumi")), ("seller_email", text("h_1")), ("note", text("ask ada@example.org"))];
    let lamp = row(ContextKind::Product, "lamp", &values);
    let append = record(lamp.kind, &lamp.id, Some(encode(&lamp).expect("encodes").into()));
    rig.open().append(vec![append]).await.expect("appends");
    let tables = rig.open();
    let mut events = [view("lamp")];
    tables.enrich(&mut events, NOW_MS, |_| true);
    let joined: Vec<_> = events[0].context[0].values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((joined, events[0].products[0].brand.as_deref()), (vec!["brand"], Some("Lumi")));
    let overwritten = row(ContextKind::Product, "lamp", &values[..2]);
    assert_eq!(tables.leave_out(&mut [overwritten]), BTreeSet::from(["seller_email".into()]));
}

#[tokio::test]
async fn rows_age_and_the_event_tells() {
    let rig = Rig::new();
    let tables = rig.open();
    tables
        .put(vec![stock("a", 4), row(ContextKind::Product, "a", &[("brand", PropertyValue::Text("Lumi".into()))])])
        .await
        .expect("durable");
    for (age_ms, stale) in [(0, false), (900_000, false), (900_001, true)] {
        let mut events = [view("a")];
        assert_eq!(tables.enrich(&mut events, NOW_MS + age_ms, |_| true), []);
        let told: Vec<_> = events[0].context.iter().map(|row| (row.kind, row.version, row.stale)).collect();
        assert_eq!(told, [(ContextKind::Product, 1, false), (ContextKind::Inventory, 0, stale)], "{age_ms}");
        assert_eq!(events[0].products[0].brand.as_deref(), Some("Lumi"));
        let rows = tables.stock(["a", "none"].into_iter(), NOW_MS + age_ms);
        assert_eq!(rows.iter().map(Joined::shows_stock).collect::<Vec<_>>(), [!stale]);
    }
    assert_eq!(count(&tables, Metric::EnrichmentJoined, "inventory"), 3);
    assert_eq!(count(&tables, Metric::EnrichmentStale, "inventory"), 1);
}

#[tokio::test]
async fn a_miss_is_told_once_to_its_owner_and_counted_each_time() {
    let rig = Rig::new();
    let tables = rig.open();
    let mut events = vec![view("x"); 50];
    assert_eq!(tables.enrich(&mut events, NOW_MS, |_| true), [], "a table that is not in use misses nothing");
    tables
        .put(vec![stock("a", 4), row(ContextKind::Profile, "u1", &[("tier", PropertyValue::Text("gold".into()))])])
        .await
        .expect("durable");
    for event in &mut events {
        event.user_id = Some("u2".into());
    }
    let told = tables.enrich(&mut events, NOW_MS, |_| true);
    let seen: Vec<_> =
        told.iter().map(|miss| (miss.kind, miss.id.as_deref(), miss.owner.as_str(), miss.misses)).collect();
    assert_eq!(
        seen,
        [(ContextKind::Inventory, Some("x"), "inventory", 1), (ContextKind::Profile, None, "crm", 1)],
        "nobody's id stands in a miss"
    );
    assert_eq!((told[0].event_id.as_str(), told[0].source.as_str()), ("e1", "shop"));
    assert_eq!(count(&tables, Metric::EnrichmentMisses, "inventory"), 50);
    assert_eq!(count(&tables, Metric::EnrichmentUntold, "inventory"), 49);
    let again = tables.enrich(&mut events[..1], NOW_MS + 3_600_000, |_| true);
    assert_eq!(again.iter().map(|miss| miss.misses).collect::<Vec<_>>(), [50, 50]);
    assert_eq!(tables.overview()["misses"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_full_table_takes_no_new_rows_and_replaces_what_it_has() {
    let mut rig = Rig::new();
    rig.config.rows_max = 3;
    let tables = rig.open();
    let put = async |rows: Vec<Context>| tables.put(rows).await.expect("durable");
    assert_eq!(put(vec![stock("a", 1), stock("b", 1), stock("a", 2)]).await, [Some(0), Some(1), Some(2)]);
    let rows = vec![stock("c", 1), stock("d", 1), stock("a", 3), stock("c", 2)];
    assert_eq!(put(rows).await, [Some(3), None, Some(4), Some(5)]);
    assert_eq!(
        put(vec![stock("d", 1), row(ContextKind::Price, "d", &[("price", PropertyValue::Int(1))])]).await,
        [None, Some(6)]
    );
    tables.remove(ContextKind::Inventory, "b").await.expect("durable");
    assert_eq!(put(vec![stock("d", 1)]).await, [Some(8)]);
    drop(tables);
    rig.config.rows_max = 1;
    let tables = rig.open();
    assert_eq!(tables.tables.len(ContextKind::Inventory), 1, "a lower bound holds from the start");
    assert_eq!(count(&tables, Metric::ContextRefused, "table_full"), 4, "and is counted: c twice, b and d once");
}

/// The same rows many times over: compaction drops all but the last of each, and the tables are what they were.
#[tokio::test]
async fn compaction_keeps_the_last_of_each() {
    let mut rig = Rig::new();
    rig.journal_bytes = 4 << 20;
    let mut seed = 7u64;
    let mut noise = || {
        let words = (0..200).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:x}", seed >> 20)
        });
        words.collect::<String>()
    };
    let mut last: BTreeMap<String, Context> = BTreeMap::new();
    let mut written = 0i64;
    {
        let tables = rig.open();
        for round in 0..100 {
            let rows: Vec<Context> = (0..150)
                .map(|id| {
                    row(
                        ContextKind::Product,
                        &format!("p{id}"),
                        &[("text", PropertyValue::Text(noise().into())), ("round", PropertyValue::Int(round))],
                    )
                })
                .collect();
            last.extend(rows.iter().map(|row| (row.id.to_string(), row.clone())));
            written += rows.len() as i64;
            tables.put(rows).await.expect("durable");
        }
        tables.remove(ContextKind::Product, "p3").await.expect("durable");
        last.remove("p3");
    }
    let tables = rig.open();
    let mut left = 0;
    crate::history::for_each(tables.log.as_ref(), Topic::Context, PARTITION, 0, |_| left += 1).expect("reads");
    assert!(left < written / 2, "{left} of {written} records are left");
    assert_eq!(tables.tables.len(ContextKind::Product), last.len());
    for row in last.values() {
        assert!(tables.has(row), "{}", row.id);
    }
    assert!(tables.row(ContextKind::Product, "p3", NOW_MS).is_none());
}

/// While rows are replaced, each join takes one version or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_beside_changes_takes_one_version_whole() {
    let rig = Rig::new();
    let tables = rig.open();
    tables.put(vec![stock("p", 0)]).await.expect("durable");
    let over = Arc::new(AtomicBool::new(false));
    let joins = {
        let (tables, over) = (Arc::clone(&tables), Arc::clone(&over));
        std::thread::spawn(move || {
            let (mut last, mut seen) = (-1, 0);
            while !over.load(Ordering::Acquire) {
                let mut events = [view("p")];
                tables.enrich(&mut events, NOW_MS, |_| true);
                let joined = &events[0].context[0];
                assert_eq!(joined.values.number("stock"), joined.values.number("again"));
                assert_eq!(
                    joined.values.number("stock"),
                    Some(joined.version as f64),
                    "the version is of these values"
                );
                assert!(joined.version >= last);
                seen += i32::from(joined.version > last);
                last = joined.version;
            }
            seen
        })
    };
    for version in 1..200 {
        assert_eq!(tables.put(vec![stock("p", version)]).await.expect("durable"), [Some(version)]);
    }
    over.store(true, Ordering::Release);
    assert!(joins.join().is_ok_and(|seen| seen > 1));
}

#[tokio::test]
async fn the_examples_of_the_documentation_hold() {
    let page = include_str!("../../../../docs/enrich.md");
    let block = |name: &str| {
        let (_, rest) = page.split_once(&format!("```{name}\n")).expect(name);
        rest.split("```").next().expect("an end").to_owned()
    };
    let limits = RowLimits { row_bytes: 4_096 };
    for (kind, format, text) in [
        (ContextKind::Product, RowFormat::Csv, block("csv")),
        (ContextKind::Inventory, RowFormat::JsonLines, block("jsonl")),
    ] {
        let bulk = read_rows(kind, format, text.as_bytes(), limits).expect("rows");
        assert!(bulk.rows.len() > 1 && bulk.faults.is_empty(), "{:?}", bulk.faults);
    }
    let config = crate::config::Config::parse(&block("toml"), std::path::Path::new("x.toml")).expect("a configuration");
    assert_eq!(
        (config.context.max_age_s.inventory, config.context.owner.price.as_str()),
        (300, "pricing@shop.example")
    );
    assert!(crate::assemble::Assembly::load(&config, false).is_ok(), "its intervention compiles");
}
