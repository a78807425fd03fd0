//! kill -9 of the real binary at random instants, over one growing data folder.

use crate::features::features;
use crate::http::Connection;
use crate::journal;
use crate::length::{Length, number};
use crate::load::{Load, Running, WATCHED, listen, visitor_id};
use crate::server::{ADMIN_TOKEN, Server};
use crate::verify;
use midsession_event::Record;
use midsession_machine::Invariant;
use midsession_sim::rng::Rng;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SENDERS: u64 = 3;
/// Acknowledged since the start before a kill.
const LEAST_ACKED: u64 = 1_000;

/// Kills over one folder at most. Sessions are short here: with more, somebody has more of them than are kept.
const KILLS_OF_A_FOLDER: u64 = 150;
/// Fewer undo no merge and decide nothing.
const LEAST_KILLS: u64 = 5;

/// Kills the server so many times, and holds everything against the oracle. An error says what is wrong.
fn kills(length: Length, defect: Option<&str>) -> Result<(), String> {
    let seed = number("MIDSESSION_SIM_SEED").unwrap_or_else(|| crate::load::now_ms() as u64);
    println!("MIDSESSION_SIM_SEED={seed}");
    let (mut rng, mut done) = (Rng::new(seed), 0);
    while length.goes_on(done) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let is_begun = |kills| done > 0 && kills < LEAST_KILLS;
        let goes_on = |kills| kills < KILLS_OF_A_FOLDER && (is_begun(kills) || length.goes_on(done + kills));
        let outcome = killed(&data, seed.wrapping_add(done), &mut rng, goes_on, defect);
        if outcome.is_err() && defect.is_none() {
            println!("kept: {}", folder.keep().display());
        }
        let (kills, outcome) = outcome?;
        done += kills;
        println!("kill -9: {outcome}");
    }
    Ok(())
}

/// Over one folder: how many, and what it came to.
fn killed(
    data: &Path,
    seed: u64,
    rng: &mut Rng,
    goes_on: impl Fn(u64) -> bool,
    defect: Option<&str>,
) -> Result<(u64, String), String> {
    let load = Arc::new(Load::default());
    let (mut in_flight, mut missed, mut kills) = (0, 0, 0);
    while goes_on(kills) {
        let cycle = kills + missed;
        let server = Server::start(data, defect);
        let listeners: Vec<_> =
            (0..WATCHED).map(|number| listen(&load, &server.collector, visitor_id(number), cycle)).collect();
        let unmerges = crate::unmerge::now_and_then(&load, &server.admin, seed ^ cycle);
        let running = Running::start(&load, &server.collector, seed.wrapping_add(cycle), SENDERS);
        while running.acked.load(Ordering::SeqCst) < LEAST_ACKED {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(rng.below(60_000)));
        // All of them, so that one at least is still under way when the signal arrives.
        while running.in_flight.load(Ordering::SeqCst) < SENDERS as usize {
            std::hint::spin_loop();
        }
        running.is_killed_now();
        server.kill();
        let broken = running.join_killed();
        if broken == 0 {
            // This process had to wait for a processor between the look and the signal: it is no kill that counts.
            missed += 1;
            assert!(missed <= 3 + kills / 4, "no request was in flight at {missed} of {} kills", kills + missed);
        } else {
            kills += 1;
        }
        in_flight += broken;
        unmerges.join().unwrap();
        listeners.into_iter().for_each(|listener| listener.join().unwrap());
        if cycle % 10 == 9 {
            let logs = verify::behavior(data)?;
            verify::acknowledged(&logs, &load.journal.lock().unwrap())?;
            verify::routed_once(&logs)?;
            journal::unaltered(&logs, &load.journal.lock().unwrap())?;
        }
    }
    let server = Server::start(data, defect);
    let acked = held(data, &server, &load)?;
    server.kill();
    Ok((kills, format!("{kills} kills, {in_flight} requests in flight at them, {acked}")))
}

/// The server has seen nothing of itself that must not be.
fn no_violations(admin: &str) -> Result<(), String> {
    let token = format!("Bearer {ADMIN_TOKEN}");
    // Counters are moved on now and then.
    for _ in 0..50 {
        let mut http = Connection::open(admin).map_err(|error| error.to_string())?;
        let answer = http.ask("GET", "/metrics", &[("authorization", &token)], "");
        let (_, text) = answer.map_err(|error| error.to_string())?;
        let rows: Vec<_> =
            text.lines().filter(|line| line.starts_with("midsession_invariant_violations_total{")).collect();
        if let Some(row) = rows.iter().find(|row| !row.ends_with(" 0")) {
            return Err(format!("the server saw itself: {row}"));
        }
        if rows.len() == Invariant::ALL.len() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err("the violations of invariants are not among the metrics".into())
}

/// Everything, once all is quiet.
fn held(data: &Path, server: &Server, load: &Arc<Load>) -> Result<String, String> {
    let journal = load.journal.lock().unwrap();
    // What was under way at the last kill goes on by itself, and the last sessions end.
    std::thread::sleep(Duration::from_secs(5));
    let (mut quiet, began) = (None, Instant::now());
    while began.elapsed() < Duration::from_secs(60) {
        let logs = verify::behavior(data)?;
        verify::acknowledged(&logs, &journal)?;
        // First what was routed twice: it may count twice, too.
        verify::routed_once(&logs)?;
        verify::counted_once(data, &logs)?;
        let oracle = verify::oracle(&logs, &journal);
        if let Ok(oracle) = oracle
            && verify::sessions(data, &oracle).is_ok_and(|over| over)
        {
            quiet = Some(oracle);
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let as_sent = journal::unaltered(&verify::behavior(data)?, &journal)?;
    let oracle = match quiet {
        Some(oracle) => oracle,
        None => {
            let oracle = verify::oracle(&verify::behavior(data)?, &journal)?;
            let over = verify::sessions(data, &oracle)?;
            return Err(format!("not quiet after a minute; all sessions over: {over}"));
        }
    };
    let gave_back = |record: &Record| matches!(record, Record::Handoff(it) if it.returns && it.has_something());
    let returned = verify::behavior(data)?.iter().flatten().filter(|(_, record)| gave_back(record)).count();
    if returned == 0 {
        return Err("no merge was undone".into());
    }
    let served = verify::decisions(data, &journal)?;
    let compared = features(&server.admin, &oracle)?;
    no_violations(&server.admin)?;
    if served == 0 || journal.painted.is_empty() {
        return Err(format!("nothing was decided: {served} served, {} painted", journal.painted.len()));
    }
    let (acked, painted) = (journal.acked.len(), journal.painted.len());
    // Restarts went on from the state of these, not from the beginning.
    let snapshots = std::fs::read_dir(data.join("snapshots")).map_err(|error| error.to_string())?;
    let snapshots =
        snapshots.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "state")).count();
    if snapshots < 4 {
        return Err(format!("{snapshots} snapshots of 4 partitions"));
    }
    Ok(format!(
        "{acked} events acknowledged, {snapshots} snapshots, {as_sent} as sent in the log, {served} interventions, {painted} of them painted, \
         {returned} merges undone, {} features of {} people and {} sessions equal",
        compared.values, compared.people, compared.sessions
    ))
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    let outcome = kills(Length::of("MIDSESSION_KILL_CYCLES", 50).at_least(LEAST_KILLS), None);
    outcome.unwrap_or_else(|cause| panic!("{cause}"));
}

/// The first line of the cause is what the defect brings about; any other trouble is no proof.
fn named(cause: &str, what: &str) {
    assert!(cause.lines().next().is_some_and(|line| line.contains(what)), "another cause than the defect: {cause}");
}

#[test]
fn without_the_duplicate_filter_it_is_noticed() {
    let cause = kills(Length::just(2), Some("dedupe_off")).expect_err("the missing duplicate filter was not noticed");
    println!("kill -9: dedupe off: {}", cause.lines().next().unwrap_or_default());
    named(&cause, "repeats count");
}

#[test]
fn without_the_silent_replay_it_is_noticed() {
    let cause =
        kills(Length::just(2), Some("replay_aloud")).expect_err("the replay that is not silent was not noticed");
    println!("kill -9: silent replay removed: {}", cause.lines().next().unwrap_or_default());
    named(&cause, "stands twice in the log");
}
