//! Damaged files: a torn tail is cut, a flipped bit is named and refused.

use super::model::{Draw, Model};
use super::order::{answer, behavior, open};
use super::rig::{Rig, Setup};
use crate::{LogError, Unit};
use std::collections::BTreeMap;

type Image = BTreeMap<String, Vec<u8>>;

/// The tail is cut at every byte of its last 4 KiB: what is whole is there, and appends go on.
pub fn torn_tail(rig: &mut dyn Rig, seed: u64) {
    if rig.files().is_none() {
        return;
    }
    let (mut draw, setup) = (Draw::new(seed), Setup { file_bytes: 1 << 20, ..Setup::default() });
    let mut model = Model::default();
    let image = lives(rig, &mut draw, &setup, &mut model, 60);
    let Some(files) = rig.files() else { return };
    let (tail, stride) = (files.tail(&image), files.stride());
    let size = image[&tail].len();
    let mut fewest = model.count();
    for cut in (0..4096.min(size)).step_by(stride) {
        let mut torn = image.clone();
        if let Some(bytes) = torn.get_mut(&tail) {
            bytes.truncate(size - cut);
        }
        if let Some(files) = rig.files() {
            files.put(&torn);
        }
        let at = format!("{cut} bytes cut off");
        let log = open(rig, &setup);
        let count = model.prefix(&*log, &at);
        assert!(count <= fewest, "{at}: {count} units where a shorter cut left {fewest}");
        assert!(cut > 0 || count == model.count(), "{at}: {count} of {} units", model.count());
        // A commit was at least a few dozen bytes, and one byte is never in two.
        assert!(stride > 1 || count + 1 >= fewest, "{at}: {} units went with one byte", fewest - count);
        fewest = count;
        let next = answer(rig, &*log, Unit { records: vec![behavior(0, "x")], positions: vec![] });
        assert!(next.is_ok(), "{at}: {next:?}");
        drop(log);
        rig.close();
    }
    assert!(fewest < model.count(), "the case has not done its work");
}

/// One bit anywhere: the file is named, or every record is there as it was; never something else. Of a log that was not
/// closed the last commit may be taken for one that was not complete, but nothing before it.
pub fn flipped_bits(rig: &mut dyn Rig, seed: u64) {
    if rig.files().is_none() {
        return;
    }
    let (mut draw, setup) = (Draw::new(seed), Setup::default());
    let mut model = Model::default();
    let open_image = lives(rig, &mut draw, &setup, &mut model, 150);
    let log = open(rig, &setup);
    rig.keep_house().unwrap_or_else(|error| panic!("{error}"));
    drop(log);
    rig.close();
    let Some(files) = rig.files() else { return };
    let (closed_image, tries) = (files.image(), 1000 / files.stride() + 40);
    flips(rig, &mut draw, &model, &closed_image, tries, 0);
    flips(rig, &mut draw, &model, &open_image, tries, 1);
}

/// Flips bits of an image, one at a time; up to `doubtful` units at the end may be missing.
fn flips(rig: &mut dyn Rig, draw: &mut Draw, model: &Model, image: &Image, tries: usize, doubtful: usize) {
    let Some(files) = rig.files() else { return };
    let tail = files.tail(image);
    let guarded: Vec<_> = image.keys().filter(|name| files.is_guarded(name) && !image[*name].is_empty()).collect();
    let mut refused = 0;
    for round in 0..tries {
        let all: usize = guarded.iter().map(|name| image[*name].len()).sum();
        let mut byte = draw.below(all as u64) as usize;
        // Each byte is as likely; of a log that was not closed, those of its tail more so.
        let name = if doubtful > 0 && round % 2 == 0 {
            byte = draw.below(image[&tail].len() as u64) as usize;
            &tail
        } else {
            let here = |name: &&&String| {
                let here = byte < image[**name].len();
                byte -= if here { 0 } else { image[**name].len() };
                here
            };
            guarded.iter().find(here).expect("invariant: the byte is in one of them")
        };
        let mut flipped = image.clone();
        if let Some(bytes) = flipped.get_mut(name) {
            bytes[byte] ^= 1 << draw.below(8);
        }
        if let Some(files) = rig.files() {
            files.put(&flipped);
        }
        let at = format!("{name} flipped at {byte}");
        let error = match rig.open(&Setup::default()) {
            Err(error) => Some(error),
            Ok(log) => {
                let error = super::model::damage(&*log);
                if error.is_none() {
                    let missing = model.count() - model.prefix(&*log, &at);
                    assert!(missing <= if *name == tail { doubtful } else { 0 }, "{at}: {missing} units are missing");
                }
                error
            }
        };
        rig.close();
        match error {
            None => {}
            Some(LogError::Corrupt { file, at: place, .. }) => {
                assert!(file.ends_with(name.as_str()), "{at}: {file} is named");
                assert!(place <= byte as u64, "{at}: byte {place} is named");
                refused += 1;
            }
            Some(other) => panic!("{at}: {other}"),
        }
    }
    assert!(refused * 2 > tries, "only {refused} of {tries} flips were refused");
}

/// Some lives of a log, each unit a commit of its own, the last life not closed: its files.
fn lives(rig: &mut dyn Rig, draw: &mut Draw, setup: &Setup, model: &mut Model, units: usize) -> Image {
    let mut image = Image::new();
    for life in 0..3 {
        let log = open(rig, setup);
        for _ in 0..units {
            model.append(&*log, draw, setup.partitions);
            rig.settle();
        }
        assert_eq!(model.check(&*log, "whole"), model.count());
        if life == 2 {
            image = rig.files().map(|files| files.image()).unwrap_or_default();
        }
        drop(log);
        rig.close();
    }
    image
}
