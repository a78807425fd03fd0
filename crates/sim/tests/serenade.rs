//! Real clicks with their original times: sessions counted by the machine and by sorting.

use flate2::read::GzDecoder;
use midsession_event::{Event, EventName, PartitionId, Product, Record, SessionState};
use midsession_machine::Effect;
use midsession_sim::probe::Probe;
use midsession_stream::{Config, Stream};
use std::collections::BTreeMap;
use std::io::Read;

const GAP_MS: i64 = 30 * 60 * 1000;

/// Visitor, product, time.
fn clicks(file: &str) -> Vec<(String, String, i64)> {
    let path = format!("{}/../../data/serenade-sample/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the sample is in the repository");
    GzDecoder::new(file).read_to_string(&mut text).expect("the sample is gzip");
    let mut clicks: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split('\t');
            let mut next = || fields.next().expect("three fields").to_owned();
            let (visitor, product, time) = (next(), next(), next());
            (visitor, product, (time.parse::<f64>().expect("a number") * 1000.0).round() as i64)
        })
        .collect();
    clicks.sort_by_key(|(_, _, time_ms)| *time_ms);
    clicks
}

#[test]
fn gaps_inside_a_visit_split_sessions() {
    for (file, rows, visitors, long_gaps) in
        [("train.txt.gz", 113_601, 23_753, Some(272)), ("valid.txt.gz", 1_451, 330, None)]
    {
        let clicks = clicks(file);
        assert_eq!(clicks.len(), rows, "{file}");
        let mut times: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        clicks.iter().for_each(|(visitor, _, time_ms)| times.entry(visitor).or_default().push(*time_ms));
        assert_eq!(times.len(), visitors, "{file}");
        let splits = |times: &Vec<i64>| times.windows(2).filter(|pair| pair[1] - pair[0] > GAP_MS).count();
        let expected: BTreeMap<&str, usize> =
            times.iter().map(|(visitor, times)| (*visitor, splits(times) + 1)).collect();
        let found_gaps: usize = times.values().map(splits).sum();
        assert!(long_gaps.is_none_or(|gaps| gaps == found_gaps), "{file} has {found_gaps} gaps over 30 minutes");

        let mut stream = Stream::new(PartitionId(0), Config { partitions: 1, ..Config::default() });
        let mut effects = Vec::new();
        let (mut sessions, mut ended): (BTreeMap<String, BTreeMap<u128, i64>>, usize) = Default::default();
        let end_ms = clicks.last().unwrap().2 + GAP_MS * 2;
        for (offset, (visitor, product, time_ms)) in clicks.iter().enumerate() {
            let id = format!("{visitor}-{offset}").into();
            let mut event = Event::new("bol".into(), id, EventName::ProductView, *time_ms);
            event.visitor_id = Some(visitor.as_str().into());
            event.products = vec![Product { id: product.as_str().into(), ..Product::default() }];
            stream.on_record(offset as i64, *time_ms, Record::Event(Box::new(event)), &Probe::default(), &mut effects);
        }
        let tick = Record::Tick(midsession_event::Tick { due_ms: end_ms });
        stream.on_record(clicks.len() as i64, end_ms, tick, &Probe::default(), &mut effects);
        for effect in effects {
            let Effect::Session(update) = effect else { continue };
            let of = sessions.entry(update.visitor_id.unwrap().to_string()).or_default();
            of.insert(update.session_id.0, update.events);
            ended += usize::from(update.state == SessionState::Closed);
        }
        let total: usize = expected.values().sum();
        assert_eq!(ended, total, "{file}: each session ends once");
        for (visitor, count) in expected {
            let found = &sessions[visitor];
            assert_eq!(
                (found.len(), found.values().sum::<i64>()),
                (count, times[visitor].len() as i64),
                "{file} {visitor}"
            );
        }
        println!("{file}: {rows} clicks, {visitors} visitors, {found_gaps} long gaps, {total} sessions");
    }
}
