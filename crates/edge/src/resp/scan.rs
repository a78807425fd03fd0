//! SCAN and KEYS: every key that is there throughout is returned, and the cursor ends.
//!
//! Entities are walked by partition and, within it, by a hash of their key. A cursor is the partition and the hash to go
//! on from, so it needs no memory here; the sorted list of one partition is kept with the connection while it scans.

use super::glob;
use super::key::hash_key;
use crate::App;
use crate::backend::{Ask, Entity, Unreadable};
use bytes::Bytes;
use midsession_event::{Str, hash64};

/// Bits of a cursor that hold the hash; the partition stands above them.
const HASH_BITS: u32 = 48;

/// About as many keys as an entity has: COUNT speaks of keys, the walk goes by entity.
const KEYS_PER_ENTITY: usize = 10;

/// Entities that are looked at to count their keys; of more the count is drawn from these.
const COUNTED: usize = 2_000;

/// Entities looked at in one call at most.
const ENTITIES_MAX: usize = 1_000;

/// Partitions looked at in one call at most, so that a call over many empty ones stays short.
const PARTITIONS_MAX: u32 = 64;

/// The entities of one partition, by hash.
#[derive(Default)]
pub(super) struct Walk {
    partition: Option<u32>,
    entities: Vec<(u64, Entity)>,
}

/// Which keys to return.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub pattern: Option<Bytes>,
    /// `hash` or `string`, in lower case.
    pub kind: Option<String>,
}

impl Filter {
    fn takes(&self, key: &str, kind: &str) -> bool {
        self.kind.as_deref().is_none_or(|wanted| wanted == kind)
            && self.pattern.as_deref().is_none_or(|pattern| glob::matches(pattern, key.as_bytes()))
    }

    /// Whether any key of this entity could be taken.
    fn could_take(&self, hash_key: &str) -> bool {
        let prefix = self.pattern.as_deref().map(glob::literal_prefix).unwrap_or_default();
        hash_key.as_bytes().starts_with(prefix)
            || prefix.strip_prefix(hash_key.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b':')
    }
}

/// One step from `cursor`: the next cursor (0 at the end) and keys.
pub(super) async fn step(
    app: &App,
    walk: &mut Walk,
    cursor: u64,
    count: usize,
    filter: &Filter,
) -> Result<(u64, Vec<String>), Unreadable> {
    let partitions = app.backend.partitions();
    let wanted = count.div_ceil(KEYS_PER_ENTITY).clamp(1, ENTITIES_MAX);
    let (mut partition, mut from) = ((cursor >> HASH_BITS) as u32, cursor & ((1 << HASH_BITS) - 1));
    let last = partition.saturating_add(PARTITIONS_MAX);
    let mut taken: Vec<Entity> = Vec::new();
    while partition < partitions && partition < last && taken.len() < wanted {
        if walk.partition != Some(partition) || from == 0 {
            let entities = app.backend.entities(partition).await?;
            walk.entities = entities.into_iter().map(|entity| (hash(&entity), entity)).collect();
            walk.entities.sort_unstable();
            walk.partition = Some(partition);
        }
        let begin = walk.entities.partition_point(|(hash, _)| *hash < from);
        let rest = &walk.entities[begin..];
        let mut end = rest.len().min(wanted - taken.len());
        // Entities of one hash stay together: a cursor can't point between them.
        while end > 0 && end < rest.len() && rest[end].0 == rest[end - 1].0 {
            end += 1;
        }
        taken.extend(rest[..end].iter().map(|(_, entity)| entity.clone()));
        match rest.get(end) {
            Some((hash, _)) => from = *hash,
            None => (partition, from) = (partition + 1, 0),
        }
    }
    let next = if partition < partitions { (u64::from(partition) << HASH_BITS) | from } else { 0 };
    Ok((next, keys(app, taken, filter).await?))
}

/// Every key that passes, or `None` when there are more than `max`.
pub(super) async fn all(app: &App, filter: &Filter, max: usize) -> Result<Option<Vec<String>>, Unreadable> {
    let (mut walk, mut cursor, mut found) = (Walk::default(), 0, Vec::new());
    loop {
        let (next, keys) = step(app, &mut walk, cursor, ENTITIES_MAX * KEYS_PER_ENTITY, filter).await?;
        found.extend(keys);
        if found.len() > max {
            return Ok(None);
        }
        if next == 0 {
            return Ok(Some(found));
        }
        cursor = next;
    }
}

/// How many keys there are, as SCAN lists them. Of many entities some in each partition are looked at, and stand for the others
/// there.
pub(super) async fn count(app: &App) -> Result<u64, Unreadable> {
    let partitions = app.backend.partitions();
    let most = COUNTED.div_ceil(partitions.max(1) as usize);
    let mut count = 0;
    for partition in 0..partitions {
        let mut entities = app.backend.entities(partition).await?;
        let all = entities.len();
        if all > most {
            // By the hash of their keys: a draw that is the same each time.
            entities.select_nth_unstable_by_key(most, hash);
            entities.truncate(most);
        }
        let looked_at = entities.len().max(1);
        let keys = keys(app, entities, &Filter::default()).await?.len();
        count += (keys as u64 * all as u64).div_ceil(looked_at as u64);
    }
    Ok(count)
}

/// The keys of these entities that pass.
async fn keys(app: &App, entities: Vec<Entity>, filter: &Filter) -> Result<Vec<String>, Unreadable> {
    // The first profile owns the bare keys; those of the others have its name in front.
    let profiles: Vec<Option<Str>> =
        std::iter::once(None).chain(app.backend.profiles().into_iter().skip(1).map(Some)).collect();
    let (mut asks, mut hash_keys) = (Vec::new(), Vec::new());
    for entity in entities {
        for profile in &profiles {
            let hash_key = hash_key(&entity, profile.as_deref());
            if filter.could_take(&hash_key) {
                let (entity, profile) = (entity.clone(), profile.clone());
                asks.push(Ask { entity, profile, names: Vec::new(), with_expiry: false });
                hash_keys.push(hash_key);
            }
        }
    }
    let answers = app.backend.features(asks).await;
    let mut found = Vec::new();
    for (hash_key, features) in hash_keys.into_iter().zip(answers) {
        // Gone since it was listed, or nothing by this profile.
        let Some(features) = features?.filter(|features| features.present().next().is_some()) else { continue };
        for (served, _) in features.present() {
            let key = format!("{hash_key}:{}", served.name);
            if filter.takes(&key, "string") {
                found.push(key);
            }
        }
        if filter.takes(&hash_key, "hash") {
            found.push(hash_key);
        }
    }
    Ok(found)
}

/// Never 0: that would be the begin of the partition.
fn hash(entity: &Entity) -> u64 {
    (hash64(&[&hash_key(entity, None)]) >> (64 - HASH_BITS)).max(1)
}
