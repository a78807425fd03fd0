//! Partials in pieces, for a snapshot: as they were when it was begun, while records go on being added.

use super::bounded::Shared;
use super::field::Series;
use super::{Life, Partials};
use midsession_event::{ShopperId, Str};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Partials as they were at an instant, written piece by piece.
#[derive(Clone, Debug)]
pub struct Pieces {
    begun: bool,
    head: Head,
    fields: Chunks<((u32, Str), Series)>,
    lifetimes: Chunks<(ShopperId, Vec<Life>)>,
}

/// Entries that are written together.
type Chunks<T> = std::vec::IntoIter<Arc<Vec<T>>>;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    field_bytes: usize,
    fields_dropped: u64,
    fields_next: usize,
    lifetimes_dropped: u64,
    lifetimes_next: usize,
}

#[derive(Serialize)]
enum Written<'a> {
    Fields(&'a [((u32, Str), Series)]),
    Lifetimes(&'a [(ShopperId, Vec<Life>)]),
    Head(&'a Head),
}

#[derive(Deserialize)]
enum Read {
    Fields(Vec<((u32, Str), Series)>),
    Lifetimes(Vec<(ShopperId, Vec<Life>)>),
    Head(Head),
}

impl Partials {
    /// All of them as they are now. It costs next to nothing: what changes afterwards is copied first.
    pub fn pieces(&self) -> Pieces {
        let (fields, lifetimes) = (self.fields.shared(), self.lifetimes.shared());
        let head = Head {
            field_bytes: self.fields.heap_bytes(),
            fields_dropped: self.fields.dropped(),
            fields_next: fields.next,
            lifetimes_dropped: self.lifetimes.dropped(),
            lifetimes_next: lifetimes.next,
        };
        let Shared { chunks: fields, .. } = fields;
        let Shared { chunks: lifetimes, .. } = lifetimes;
        Pieces { begun: false, head, fields: fields.into_iter(), lifetimes: lifetimes.into_iter() }
    }

    /// Takes a piece in; an error says what is wrong with it.
    pub fn take_piece(&mut self, piece: &str) -> Result<(), String> {
        match serde_json::from_str(piece).map_err(|cause| cause.to_string())? {
            Read::Fields(entries) => self.fields.restore(entries),
            Read::Lifetimes(entries) => self.lifetimes.restore(entries),
            Read::Head(head) => {
                self.fields.restore_head(head.field_bytes, head.fields_dropped, head.fields_next);
                self.lifetimes.restore_head(head.lifetimes_dropped, head.lifetimes_next);
            }
        }
        Ok(())
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        // Invariant: keys are texts and numbers are finite, so that all of it is JSON.
        let json = |written: &Written<'_>| serde_json::to_string(written).expect("invariant: JSON");
        if !self.begun {
            self.begun = true;
            return Some(json(&Written::Head(&self.head)));
        }
        if let Some(chunk) = self.fields.next() {
            return Some(json(&Written::Fields(&chunk)));
        }
        self.lifetimes.next().map(|chunk| json(&Written::Lifetimes(&chunk)))
    }
}
