//! The tables: rows by kind and id, read by every request while a few are replaced.

use super::PerKind;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use midsession_event::{ContextKind, Joined, Str, Values};
use parking_lot::RwLock;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

/// Parts of a table, each with a lock of its own: a row that is put holds up the readers of one part, for the time it
/// takes to put a pointer.
const SHARDS: usize = 64;

/// A row of a table. Whoever reads one holds it whole, whatever is put in its place meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Rises with each change: the offset of its record on `context`.
    pub version: i64,
    /// The stamp of that record. Epoch ms.
    pub at_ms: i64,
    /// Its values.
    pub values: Values,
}

impl Row {
    /// Stands for a time of loading that nobody knows: it holds from the beginning, and is never too old.
    pub const ALL_ALONG_MS: i64 = i64::MAX;

    /// Whether it is older than its kind may be; 0 lets it be of any age.
    pub fn is_stale(&self, max_age_ms: i64, now_ms: i64) -> bool {
        max_age_ms > 0 && now_ms.saturating_sub(self.at_ms) > max_age_ms
    }

    /// The row by value, as it was read now.
    pub fn joined(self, kind: ContextKind, id: &str, max_age_ms: i64, now_ms: i64) -> Joined {
        let stale = self.is_stale(max_age_ms, now_ms);
        Joined { kind, id: id.into(), version: self.version, at_ms: self.at_ms, stale, values: self.values }
    }
}

/// What came of a row that was to be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in force.
    Done,
    /// One of a later version is.
    Older,
    /// The table has as many rows as it may.
    Full,
}

type Shard = RwLock<HashMap<Str, Row, FixedState>>;

/// Rows of one kind.
struct Table {
    shards: Box<[Shard]>,
    rows: AtomicUsize,
    /// Memory of the rows' values and long ids. Bytes.
    heap_bytes: AtomicUsize,
    newest_ms: AtomicI64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            rows: AtomicUsize::new(0),
            heap_bytes: AtomicUsize::new(0),
            newest_ms: AtomicI64::new(0),
        }
    }
}

impl Table {
    fn shard(&self, id: &str) -> &Shard {
        // The upper bits: the lower ones choose the place within the shard.
        let hash = FixedState::default().hash_one(id);
        &self.shards[(hash >> 48) as usize % SHARDS]
    }
}

/// The tables of all kinds.
pub struct Tables {
    kinds: PerKind<Table>,
    rows_max: usize,
}

impl Tables {
    /// Empty ones that take this many rows of each kind.
    pub fn new(rows_max: usize) -> Self {
        Self { kinds: PerKind::of(|_| Table::default()), rows_max }
    }

    /// A row as it is now.
    pub fn get(&self, kind: ContextKind, id: &str) -> Option<Row> {
        self.kinds[kind].shard(id).read().get(id).cloned()
    }

    /// Puts a row in force, unless one of a later version is.
    pub fn put(&self, kind: ContextKind, id: Str, row: Row) -> Put {
        let table = &self.kinds[kind];
        let (at_ms, bytes) = (row.at_ms, bytes_of(&id, &row));
        let mut shard = table.shard(&id).write();
        match shard.entry(id) {
            Entry::Occupied(place) if place.get().version >= row.version => return Put::Older,
            Entry::Occupied(mut place) => {
                let before = bytes_of(place.key(), place.get());
                place.insert(row);
                table.heap_bytes.fetch_sub(before, Relaxed);
            }
            Entry::Vacant(_) if table.rows.load(Relaxed) >= self.rows_max => return Put::Full,
            Entry::Vacant(place) => {
                place.insert(row);
                table.rows.fetch_add(1, Relaxed);
            }
        }
        table.heap_bytes.fetch_add(bytes, Relaxed);
        table.newest_ms.fetch_max(at_ms, Relaxed);
        Put::Done
    }

    /// Takes a row out, if it is older than this version.
    pub fn remove(&self, kind: ContextKind, id: &str, version: i64) {
        let table = &self.kinds[kind];
        let mut shard = table.shard(id).write();
        if let Entry::Occupied(place) = shard.entry(id.into())
            && place.get().version < version
        {
            let (id, row) = place.remove_entry();
            table.rows.fetch_sub(1, Relaxed);
            table.heap_bytes.fetch_sub(bytes_of(&id, &row), Relaxed);
        }
    }

    /// Whether there is a row of this id.
    pub fn contains(&self, kind: ContextKind, id: &str) -> bool {
        self.kinds[kind].shard(id).read().contains_key(id)
    }

    /// Whether a row of this id can be put, where so many new ones are on their way already.
    pub fn has_room(&self, kind: ContextKind, id: &str, under_way: usize) -> bool {
        self.len(kind) + under_way < self.rows_max || self.contains(kind, id)
    }

    /// Rows of a kind.
    pub fn len(&self, kind: ContextKind) -> usize {
        self.kinds[kind].rows.load(Relaxed)
    }

    /// No kind has any.
    pub fn is_empty(&self) -> bool {
        ContextKind::ALL.into_iter().all(|kind| self.len(kind) == 0)
    }

    /// When the newest row of a kind was loaded. Epoch ms; 0 before the first.
    pub fn newest_ms(&self, kind: ContextKind) -> i64 {
        self.kinds[kind].newest_ms.load(Relaxed)
    }

    /// Memory that a kind takes, room to grow included. Bytes.
    pub fn bytes(&self, kind: ContextKind) -> usize {
        let table = &self.kinds[kind];
        let places: usize = table.shards.iter().map(|shard| shard.read().allocation_size()).sum();
        places + table.heap_bytes.load(Relaxed)
    }
}

fn bytes_of(id: &Str, row: &Row) -> usize {
    let id = if id.is_heap_allocated() { id.capacity() } else { 0 };
    id + row.values.heap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::PropertyValue;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn row(version: i64, stock: i64) -> Row {
        let pairs = ["stock", "again"].map(|name| (Str::from(name), PropertyValue::Int(stock)));
        Row { version, at_ms: version * 10, values: BTreeMap::from(pairs).into() }
    }

    #[test]
    fn the_latest_version_is_in_force_in_whatever_order_they_come() {
        let tables = Tables::new(2);
        let kind = ContextKind::Inventory;
        let stock = |id: &str| tables.get(kind, id).and_then(|row| row.values.number("stock"));
        assert!(tables.is_empty());
        assert_eq!(tables.put(kind, "a".into(), row(5, 50)), Put::Done);
        assert_eq!(tables.put(kind, "a".into(), row(4, 40)), Put::Older);
        assert_eq!(tables.put(kind, "a".into(), row(5, 51)), Put::Older);
        assert_eq!((stock("a"), tables.len(kind), tables.newest_ms(kind)), (Some(50.0), 1, 50));
        tables.remove(kind, "a", 5);
        assert_eq!(stock("a"), Some(50.0), "a tombstone from before it");
        assert_eq!(tables.put(kind, "b".into(), row(6, 1)), Put::Done);
        assert_eq!(tables.put(kind, "c".into(), row(7, 1)), Put::Full);
        assert!(tables.has_room(kind, "a", 9) && !tables.has_room(kind, "c", 0));
        assert!(tables.has_room(ContextKind::Price, "c", 1) && !tables.has_room(ContextKind::Price, "c", 2));
        assert_eq!(tables.put(kind, "a".into(), row(8, 80)), Put::Done, "one that is there has its place");
        tables.remove(kind, "a", 9);
        assert_eq!((stock("a"), tables.len(kind)), (None, 1));
        assert_eq!(tables.put(kind, "c".into(), row(7, 1)), Put::Done);
        assert_eq!(tables.get(ContextKind::Price, "c"), None, "kinds are apart");
    }

    #[test]
    fn memory_is_given_back() {
        let tables = Tables::new(10);
        let kind = ContextKind::Product;
        let empty = tables.bytes(kind);
        let long = "an id that is longer than twenty-four bytes";
        for version in 1..5 {
            tables.put(kind, long.into(), row(version, 1));
        }
        let held = tables.kinds[kind].heap_bytes.load(Relaxed);
        assert_eq!(held, bytes_of(&long.into(), &row(1, 1)));
        assert!(tables.bytes(kind) > empty + held);
        tables.remove(kind, long, 9);
        assert_eq!(tables.kinds[kind].heap_bytes.load(Relaxed), 0);
    }

    #[test]
    fn age_counts_to_the_millisecond() {
        let row = row(100, 1);
        for (max_age_ms, now_ms, stale) in
            [(500, 1_500, false), (500, 1_501, true), (0, i64::MAX, false), (1, 0, false)]
        {
            assert_eq!(row.is_stale(max_age_ms, now_ms), stale, "{max_age_ms} at {now_ms}");
        }
    }

    /// Readers beside a writer see one version or another, never parts of two, and never an earlier one again.
    #[test]
    fn a_row_that_is_replaced_is_read_whole() {
        let tables = Tables::new(10);
        let kind = ContextKind::Inventory;
        tables.put(kind, "p".into(), row(1, 1));
        let over = AtomicBool::new(false);
        let readers_busy = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let reads: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let (mut last, mut seen) = (0, 0u64);
                        while !over.load(Ordering::Acquire) {
                            let Some(row) = tables.get(kind, "p") else { panic!("the row is there") };
                            let versions = ["stock", "again"].map(|name| row.values.number(name));
                            assert_eq!(versions, [Some(row.version as f64); 2]);
                            assert!(row.version >= last && row.at_ms == row.version * 10);
                            if row.version != last {
                                readers_busy.fetch_add(usize::from(seen == 0), Ordering::AcqRel);
                                seen += 1;
                            }
                            last = row.version;
                        }
                        seen
                    })
                })
                .collect();
            // Until each of them has been given a turn by the machine.
            let mut version = 2;
            while version < 20_000 || readers_busy.load(Ordering::Acquire) < 3 {
                tables.put(kind, "p".into(), row(version, version));
                version += 1;
            }
            over.store(true, Ordering::Release);
            for read in reads {
                assert!(read.join().is_ok_and(|seen| seen > 0));
            }
        });
    }
}
