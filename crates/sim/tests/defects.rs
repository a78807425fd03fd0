//! Each seeded defect is found: a third of them in every change, all of them in a soak.

use midsession_sim::defects::{DEFECTS, SLIGHT, Seeded};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// Those asked for by `MIDSESSION_SIM_DEFECTS`: `all`, or numbers with commas between; else a third of them, another one
/// each day.
fn asked() -> Vec<Seeded> {
    let numbers = match std::env::var("MIDSESSION_SIM_DEFECTS") {
        Ok(text) if text == "all" => return DEFECTS.to_vec(),
        Ok(text) => text.split(',').map(|number| number.trim().parse().expect("a number")).collect(),
        Err(_) => {
            let days = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 86_400;
            let today = |seeded: &&Seeded| u64::from(seeded.id) % 3 == days % 3;
            DEFECTS.iter().filter(today).map(|seeded| seeded.id).collect::<BTreeSet<u8>>()
        }
    };
    DEFECTS.into_iter().filter(|seeded| numbers.contains(&seeded.id)).collect()
}

fn find(defects: &[Seeded]) {
    let numbers: Vec<_> = defects.iter().map(|seeded| seeded.id.to_string()).collect();
    println!("MIDSESSION_SIM_DEFECTS={}", numbers.join(","));
    let mut missed = Vec::new();
    for seeded in defects {
        match seeded.find() {
            Ok(found) => {
                println!("{:>3} {}: seed {}, {} h: {}", seeded.id, seeded.words, found.seed, found.hours, found.cause);
            }
            Err(cause) => missed.push(cause),
        }
    }
    println!("{} of {} seeded defects found", defects.len() - missed.len(), defects.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn seeded_defects_are_found() {
    let defects = asked();
    assert!(!defects.is_empty(), "no such defect");
    find(&defects);
}

#[test]
fn rules_that_are_slightly_off_are_found() {
    find(&SLIGHT);
}

#[test]
fn the_numbers_are_those_of_the_page() {
    let page = include_str!("../../../docs/correctness.md");
    assert!(DEFECTS.iter().zip(1..).all(|(seeded, number)| seeded.id == number), "numbered from 1 on");
    for Seeded { id, words, .. } in DEFECTS.iter().chain(&SLIGHT) {
        assert!(page.contains(&format!("| {id} | {words} |")), "docs/correctness.md has no row {id}, {words}");
    }
}
