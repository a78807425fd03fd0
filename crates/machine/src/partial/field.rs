//! Partials by a field: of each product, category or campaign, in steps of event time.
//!
//! A window is cut into sixty steps, and each step has a partial of its own; a read merges those that the window
//! reaches. So a window begins at a whole step: it is up to a sixtieth longer than its name says. A lifetime is one step,
//! which goes by the time of its earliest event.

use super::bounded::Shared;
use super::{Bounded, Partial, Piece};
use midsession_event::{Str, hash64};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Steps of a window.
const STEPS: i64 = 60;
/// The shortest step. ms.
const STEP_MIN_MS: i64 = 1_000;

/// A window of a definition by a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldWindow {
    /// Its length; without end for a lifetime. ms.
    pub length_ms: i64,
    /// The steps that it is cut into. ms.
    pub step_ms: i64,
}

impl FieldWindow {
    /// All that is counted, for as long as the value is held.
    pub const LIFETIME: Self = Self { length_ms: i64::MAX, step_ms: i64::MAX };

    /// Whether it has no end.
    pub fn is_lifetime(self) -> bool {
        self == Self::LIFETIME
    }

    /// The window of this length.
    pub fn of(length_ms: i64) -> Self {
        Self { length_ms, step_ms: (length_ms / STEPS).max(STEP_MIN_MS) }
    }

    /// The first step that the window reaches at this instant.
    fn first(self, now_ms: i64) -> i64 {
        if self.is_lifetime() {
            return i64::MIN;
        }
        now_ms.saturating_sub(self.length_ms).saturating_add(1).div_euclid(self.step_ms)
    }

    /// Where the window begins at this instant. Epoch ms.
    pub fn begins_ms(self, now_ms: i64) -> i64 {
        self.first(now_ms).saturating_mul(self.step_ms)
    }
}

/// A definition (by its slot) of one value of its field.
type Of = (u32, Str);

/// What a partition has by fields.
#[derive(Clone, Debug, Default)]
pub struct FieldPartials {
    table: Bounded<Of, Series>,
    bytes: usize,
    bytes_max: usize,
    dropped: u64,
}

/// One value of a field under one definition.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Series {
    /// By the definition's windows: the steps with something in them, ascending.
    windows: Vec<VecDeque<(i64, Partial)>>,
    bytes: usize,
    last_ms: i64,
    /// In no window any more from then on. Epoch ms.
    until_ms: i64,
}

/// Some of a series on its way from the past: what it holds by window and step.
#[derive(Serialize, Deserialize)]
struct Packed {
    windows: usize,
    until_ms: i64,
    steps: Vec<(usize, i64, Partial)>,
}

/// A piece of it is about as long. Bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Windows of one definition.
const WINDOWS_MAX: usize = 256;

/// Under which slot the past of another one waits until it is counted in.
fn aside(slot: u32) -> u32 {
    hash64(&["aside", &slot.to_string()]) as u32
}

impl FieldPartials {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Adds a piece to a definition's partials of this value of its field.
    pub fn add(
        &mut self,
        slot: u32,
        id: &str,
        windows: &[FieldWindow],
        start: fn() -> Partial,
        piece: &Piece<'_>,
        now_ms: i64,
    ) {
        self.forget_one(now_ms);
        let Some(longest_ms) = windows.iter().map(|window| window.length_ms.saturating_add(window.step_ms)).max()
        else {
            return;
        };
        if piece.time_ms.saturating_add(longest_ms) <= now_ms {
            return;
        }
        let of = (slot, Str::from(id));
        let blank = size_of::<(Of, Series)>() + id.len().saturating_sub(24) + windows.len() * 32;
        let mut grown = 0isize;
        let series = self.table.entry(&of, || {
            grown += blank as isize;
            Series { windows: vec![VecDeque::new(); windows.len()], bytes: blank, ..Series::default() }
        });
        let of_step = |partial: &Partial| (size_of::<(i64, Partial)>() + partial.heap_bytes()) as isize;
        let before = series.bytes as isize - grown;
        let mut bytes = series.bytes as isize;
        for (window, steps) in windows.iter().zip(&mut series.windows) {
            let first = window.first(now_ms);
            while let Some((_, gone)) = steps.pop_front_if(|(step, _)| *step < first) {
                bytes -= of_step(&gone);
            }
            let step = if window.is_lifetime() {
                // The past that was counted in is a step before it.
                if let Some((begins_ms, _)) = steps.front_mut() {
                    *begins_ms = piece.time_ms.min(*begins_ms);
                }
                steps.back().map_or(piece.time_ms, |(last, _)| *last)
            } else {
                piece.time_ms.div_euclid(window.step_ms)
            };
            if step < first {
                continue;
            }
            let at = match steps.back() {
                Some((last, _)) if *last >= step => steps.partition_point(|(known, _)| *known < step),
                _ => steps.len(),
            };
            match steps.get_mut(at).filter(|(known, _)| *known == step) {
                Some((_, partial)) => {
                    bytes -= of_step(partial);
                    partial.add(piece);
                    bytes += of_step(partial);
                }
                None => {
                    let mut partial = start();
                    partial.add(piece);
                    bytes += of_step(&partial);
                    steps.insert(at, (step, partial));
                }
            }
        }
        series.bytes = bytes.unsigned_abs();
        series.last_ms = series.last_ms.max(now_ms);
        series.until_ms = series.until_ms.max(piece.time_ms.saturating_add(longest_ms));
        self.bytes = self.bytes.saturating_add_signed(bytes - before);
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.bytes > self.bytes_max {
            let Some(stalest) = self.table.stalest(|series| series.last_ms) else { break };
            self.drop_one(&stalest);
            self.dropped += 1;
        }
    }

    /// All that was added up under a slot, as texts for [`FieldPartials::put_aside`], each with its value of the field.
    pub fn pack(&self, slot: u32) -> Vec<(Str, Str)> {
        let mut packed = Vec::new();
        for ((_, id), series) in self.table.iter().filter(|((known, _), _)| *known == slot) {
            let steps = series.windows.iter().enumerate();
            let mut all = steps.flat_map(|(window, steps)| steps.iter().map(move |(step, one)| (window, *step, one)));
            loop {
                let mut piece = Packed { windows: series.windows.len(), until_ms: series.until_ms, steps: Vec::new() };
                let mut bytes = 0;
                while bytes < PIECE_BYTES
                    && let Some((window, step, partial)) = all.next()
                {
                    bytes += size_of::<(i64, Partial)>() + partial.heap_bytes();
                    piece.steps.push((window, step, partial.clone()));
                }
                if piece.steps.is_empty() {
                    break;
                }
                // Invariant: maps have text keys and numbers are finite, so that it is JSON.
                packed.extend(serde_json::to_string(&piece).ok().map(|text| (id.clone(), text.into())));
            }
        }
        packed
    }

    /// Puts aside what the past adds under a slot. What another version wrote differently is left out.
    pub fn put_aside(&mut self, slot: u32, id: &str, packed: &str, now_ms: i64) {
        let Ok(Packed { windows, until_ms, steps }) = serde_json::from_str(packed) else { return };
        self.take_in((aside(slot), id.into()), windows.min(WINDOWS_MAX), until_ms, steps, now_ms);
        self.make_room();
    }

    /// Forgets what was put aside under these slots.
    pub fn forget_aside(&mut self, slots: &[u32]) {
        let slots: Vec<u32> = slots.iter().map(|slot| aside(*slot)).collect();
        self.forget(&slots);
    }

    /// Adds what was put aside under a slot to what was added up since.
    pub fn count_in(&mut self, slot: u32) {
        let aside = aside(slot);
        for of in self.table.keys().into_iter().filter(|(known, _)| *known == aside) {
            let Some(past) = self.table.remove(&of) else { continue };
            self.bytes = self.bytes.saturating_sub(past.bytes);
            let windows = past.windows.len();
            let steps = past.windows.into_iter().enumerate();
            let steps = steps.flat_map(|(window, steps)| steps.into_iter().map(move |(step, one)| (window, step, one)));
            self.take_in((slot, of.1), windows, past.until_ms, steps.collect(), past.last_ms);
        }
        self.make_room();
    }

    /// Takes in what was earlier than all that is there.
    fn take_in(&mut self, of: Of, windows: usize, until_ms: i64, steps: Vec<(usize, i64, Partial)>, now_ms: i64) {
        let blank = size_of::<(Of, Series)>() + of.1.len().saturating_sub(24) + windows * 32;
        let is_new = self.table.get(&of).is_none();
        let series = self.table.entry(&of, || Series {
            windows: vec![VecDeque::new(); windows],
            bytes: blank,
            ..Series::default()
        });
        let before = if is_new { 0 } else { series.bytes };
        for (window, step, mut past) in steps {
            let Some(known) = series.windows.get_mut(window) else { continue };
            let at = known.partition_point(|(known, _)| *known < step);
            match known.get_mut(at).filter(|(known, _)| *known == step) {
                Some((_, partial)) => {
                    series.bytes = series.bytes.saturating_sub(partial.heap_bytes());
                    past.merge(partial);
                    series.bytes += past.heap_bytes();
                    *partial = past;
                }
                None => {
                    series.bytes += size_of::<(i64, Partial)>() + past.heap_bytes();
                    known.insert(at, (step, past));
                }
            }
        }
        series.last_ms = series.last_ms.max(now_ms);
        series.until_ms = series.until_ms.max(until_ms);
        self.bytes = (self.bytes + series.bytes).saturating_sub(before);
    }

    /// Looks at the next entry, and forgets it when no window reaches it any more.
    fn forget_one(&mut self, now_ms: i64) {
        let over = self.table.step().filter(|(_, series)| series.until_ms <= now_ms).map(|(of, _)| of.clone());
        if let Some(of) = over {
            self.drop_one(&of);
        }
    }

    /// Forgets what was added up under these slots.
    pub(super) fn forget(&mut self, slots: &[u32]) {
        for of in self.table.keys().into_iter().filter(|(slot, _)| slots.contains(slot)) {
            self.drop_one(&of);
        }
    }

    fn drop_one(&mut self, of: &Of) {
        if let Some(series) = self.table.remove(of) {
            self.bytes = self.bytes.saturating_sub(series.bytes);
        }
    }

    /// What one of a definition's windows holds at this instant, and since when that is; none when nothing does.
    pub fn read(&self, slot: u32, id: &str, index: usize, window: FieldWindow, now_ms: i64) -> Option<(Partial, i64)> {
        let series = self.table.get(&(slot, id.into()))?;
        let first = window.first(now_ms);
        let steps = series.windows.get(index)?;
        let reached = steps.iter().filter(|(step, _)| *step >= first);
        let partial = Partial::merged(reached.map(|(_, partial)| partial))?;
        let of_lifetime = steps.front().filter(|_| window.is_lifetime());
        Some((partial, of_lifetime.map_or_else(|| window.begins_ms(now_ms), |(begins_ms, _)| *begins_ms)))
    }

    /// When something last came into what a definition has of a value, or left this window of it. Epoch ms.
    pub fn changed_ms(&self, slot: u32, id: &str, index: usize, window: FieldWindow, now_ms: i64) -> Option<i64> {
        let series = self.table.get(&(slot, id.into()))?;
        let first = window.first(now_ms);
        // What has left since then is still there: it goes when the next piece comes.
        let left = series.windows.get(index)?.iter().map(|(step, _)| *step).take_while(|step| *step < first).last();
        let left_ms =
            |step: i64| step.saturating_add(1).saturating_mul(window.step_ms).saturating_add(window.length_ms);
        Some(left.map_or(series.last_ms, |step| series.last_ms.max(left_ms(step) - 1)))
    }

    /// Every value of a field that some window of these definitions reaches at this instant.
    pub fn ids<'a>(&'a self, slots: &'a [u32], now_ms: i64) -> impl Iterator<Item = &'a Str> {
        self.table
            .iter()
            .filter(move |((slot, _), series)| slots.contains(slot) && series.until_ms > now_ms)
            .map(|((_, id), _)| id)
    }

    pub(super) fn shared(&self) -> Shared<Of, Series> {
        self.table.shared()
    }

    pub(super) fn restore(&mut self, entries: Vec<(Of, Series)>) {
        self.table.extend(entries);
    }

    pub(super) fn restore_head(&mut self, bytes: usize, dropped: u64, next: usize) {
        (self.bytes, self.dropped) = (bytes, dropped);
        self.table.look_from(next);
    }

    /// Values of fields forgotten early because there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes held, about.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: FieldWindow = FieldWindow { length_ms: 300_000, step_ms: 5_000 };

    fn at(time_ms: i64) -> Piece<'static> {
        Piece { time_ms, number: f64::NAN, text: None, currency: None, second: false }
    }

    fn count(partials: &FieldPartials, id: &str, now_ms: i64) -> u64 {
        match partials.read(1, id, 0, FIVE, now_ms) {
            Some((Partial::Count(count), _)) => count,
            None => 0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_window_begins_at_a_whole_step() {
        assert_eq!(FieldWindow::of(300_000), FIVE);
        assert_eq!(FieldWindow::of(86_400_000).step_ms, 1_440_000);
        assert_eq!(FieldWindow::of(10_000).step_ms, 1_000);
        assert_eq!(FIVE.begins_ms(i64::MIN), i64::MIN, "before all time");
        let mut partials = FieldPartials::new(1 << 20);
        // Out of order, one of them too old for the window already.
        for time_ms in [1_000_000, 995_000, 999_999, 690_000, 1_000_001] {
            partials.add(1, "p", &[FIVE], || Partial::Count(0), &at(time_ms), 1_000_001);
        }
        assert_eq!(count(&partials, "p", 1_000_001), 4);
        assert_eq!(FIVE.begins_ms(1_299_999), 1_000_000);
        assert_eq!(count(&partials, "p", 1_299_999), 2);
        assert_eq!(count(&partials, "p", 1_304_999), 0, "the step before 1,005,000 is past");
        assert_eq!(count(&partials, "q", 1_000_001), 0);
    }

    #[test]
    fn the_past_that_was_put_aside_is_counted_in_once() {
        let add = |partials: &mut FieldPartials, id: &str, time_ms: i64| {
            partials.add(1, id, &[FIVE], || Partial::Count(0), &at(time_ms), time_ms);
        };
        let mut before = FieldPartials::new(1 << 20);
        let mut whole = FieldPartials::new(1 << 20);
        let mut since = FieldPartials::new(1 << 20);
        for (number, id) in ["p", "q", "p", "p", "q", "r", "p"].into_iter().enumerate() {
            let time_ms = 1_000_000 + 4_000 * number as i64;
            add(if number < 4 { &mut before } else { &mut since }, id, time_ms);
            add(&mut whole, id, time_ms);
        }
        let now_ms = 1_030_000;
        let packed = before.pack(1);
        for _ in 0..2 {
            // Offered twice, each time from the beginning.
            since.forget_aside(&[1]);
            packed.iter().for_each(|(id, text)| since.put_aside(1, id, text, now_ms));
        }
        assert_eq!(["p", "q", "r"].map(|id| count(&since, id, now_ms)), [1, 1, 1], "not yet");
        since.put_aside(1, "p", "not ours", now_ms);
        for _ in 0..2 {
            since.count_in(1);
            assert_eq!(["p", "q", "r"].map(|id| count(&since, id, now_ms)), [4, 2, 1]);
            assert_eq!(since.heap_bytes(), whole.heap_bytes());
        }
        assert_eq!(count(&since, "p", 1_304_999), count(&whole, "p", 1_304_999), "window by window");
    }

    #[test]
    fn a_lifetime_goes_by_its_earliest_event_and_takes_the_past_in() {
        const OF_ALL: [FieldWindow; 2] = [FIVE, FieldWindow::LIFETIME];
        let add = |partials: &mut FieldPartials, time_ms: i64, now_ms: i64| {
            partials.add(1, "p", &OF_ALL, || Partial::Count(0), &at(time_ms), now_ms);
        };
        let read = |partials: &FieldPartials| partials.read(1, "p", 1, FieldWindow::LIFETIME, i64::MAX);
        let mut since = FieldPartials::new(1 << 20);
        assert_eq!(read(&since), None);
        for (time_ms, begins_ms) in [(2_000, 2_000), (3_000, 2_000), (1_500, 1_500), (9_000_000, 1_500)] {
            add(&mut since, time_ms, time_ms.max(3_000));
            assert_eq!(read(&since).map(|(_, begins_ms)| begins_ms), Some(begins_ms));
        }
        let mut before = FieldPartials::new(1 << 20);
        [1_600, 1_700, 1_000].into_iter().for_each(|time_ms| add(&mut before, time_ms, 1_700));
        before.pack(1).iter().for_each(|(id, text)| since.put_aside(1, id, text, 9_000_000));
        since.count_in(1);
        assert_eq!(read(&since), Some((Partial::Count(7), 1_000)));
        add(&mut since, 500, 9_000_001);
        assert_eq!(read(&since), Some((Partial::Count(8), 500)), "what comes late comes before the past, too");
        let held: usize = since.table.iter().map(|(_, series)| series.bytes).sum();
        assert_eq!(since.heap_bytes(), held);
        (0..1_000).for_each(|_| since.forget_one(i64::MAX - 1));
        assert!(read(&since).is_some(), "it has no end");
    }

    #[test]
    fn what_no_window_reaches_is_forgotten() {
        let mut partials = FieldPartials::new(1 << 20);
        for id in 0..100 {
            partials.add(1, &format!("p{id}"), &[FIVE], || Partial::Count(0), &at(1_000_000), 1_000_000);
        }
        assert_eq!(partials.ids(&[1], 1_000_000).count(), 100);
        assert_eq!(partials.ids(&[2], 1_000_000).count(), 0);
        for _ in 0..200 {
            partials.add(1, "q", &[FIVE], || Partial::Count(0), &at(2_000_000), 2_000_000);
        }
        assert_eq!(partials.table.len(), 1);
        assert_eq!(partials.dropped(), 0);
        let alone = partials.heap_bytes();
        partials.add(1, "r", &[FIVE], || Partial::Count(0), &at(2_000_000), 2_000_000);
        assert_eq!(partials.heap_bytes(), 2 * alone, "bytes are given back");
    }

    #[test]
    fn memory_is_bounded_and_what_is_lost_is_counted() {
        let mut partials = FieldPartials::new(100_000);
        for id in 0..10_000i64 {
            let time_ms = 1_000_000 + id;
            partials.add(1, &format!("p{id}"), &[FIVE], || Partial::Count(0), &at(time_ms), time_ms);
            partials.add(1, "busy", &[FIVE], || Partial::Count(0), &at(time_ms), time_ms);
        }
        assert!(partials.heap_bytes() <= 100_000);
        assert!(partials.dropped() > 9_000);
        assert_eq!(count(&partials, "busy", 1_010_000), 10_000, "who is in use stays");
    }
}
