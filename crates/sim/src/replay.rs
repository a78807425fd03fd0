//! The same logs again: from the beginning, without ticks, and from a snapshot at any record.

use crate::judge::differ;
use crate::rng::Rng;
use crate::spilled;
use crate::world::World;
use midsession_event::{PartitionId, Record, SessionId};
use midsession_machine::Effect;
use midsession_stream::{Config, Stream};

/// The same logs give the same state and effects; without the ticks, the same outcome.
pub(crate) fn replay(world: &mut World, config: Config) -> Result<(), String> {
    for (index, log) in world.logs.iter().enumerate() {
        let mut streams = [false, true].map(|_| Stream::new(PartitionId(index as u32), config));
        let mut outcomes = [Vec::new(), Vec::new()];
        for (offset, (stamp_ms, record)) in log.iter().enumerate() {
            let is_last = offset + 1 == log.len();
            for (which, stream) in streams.iter_mut().enumerate() {
                if which == 1 && matches!(record, Record::Tick(_)) && !is_last {
                    continue;
                }
                let mut effects = Vec::new();
                stream.on_record(offset as i64, *stamp_ms, record.clone(), &world.probe, &mut effects);
                outcomes[which].extend(effects.iter().filter_map(outcome));
            }
        }
        // Also where one of them had less memory.
        let told = |error: midsession_stream::SnapshotError| error.to_string();
        if streams[0].whole_snapshot().map_err(told)? != world.streams[index].whole_snapshot().map_err(told)? {
            return Err(format!("a replay of partition {index} ends in another state"));
        }
        let [with, without] = outcomes.map(|mut all| {
            // Silences that are over at the same instant are told by slot, and who has which slot depends on when the one
            // before was forgotten. For one session the order stays.
            all.sort_by_key(|(session_id, told): &(Option<SessionId>, String)| match session_id {
                Some(session_id) => (session_id.to_hex().to_string(), None),
                None => (String::new(), Some(told.clone())),
            });
            all
        });
        if let Some(at) = (0..with.len().max(without.len())).find(|at| with.get(*at) != without.get(*at)) {
            let what = format!("partition {index}: effect {at} depends on where ticks stand");
            return differ(&what, &without.get(at), &with.get(at));
        }
    }
    Ok(())
}

/// A snapshot that is written while the log goes on is the state as it was when it was begun; what is restored from it
/// goes on as if nothing had been.
pub(crate) fn restart(rng: &mut Rng, seed: u64, partition: usize, world: &World, config: Config) -> Result<(), String> {
    let (number, log) = (PartitionId(partition as u32), &world.logs[partition]);
    let mut stream = spilled::machine(seed, number, config);
    let mut effects = Vec::new();
    let mut read = |stream: &mut Stream, offset: usize| {
        effects.clear();
        let (stamp_ms, record) = &log[offset];
        stream.on_record(offset as i64, *stamp_ms, record.clone(), &world.probe, &mut effects);
        format!("{effects:?}")
    };
    let begin = rng.below(log.len() as u64 + 1) as usize;
    for offset in 0..begin {
        read(&mut stream, offset);
    }
    let told = |error: midsession_stream::SnapshotError| format!("partition {partition} at {begin}: {error}");
    let expected = stream.whole_snapshot().map_err(told)?;
    stream.begin_snapshot().map_err(told)?;
    let (mut found, mut after) = (Vec::new(), Vec::new());
    let mut is_whole = false;
    let often = rng.pick(&[2, 20, 90]);
    for offset in begin..log.len() {
        while !is_whole && rng.chance(often) {
            let bytes = rng.pick(&[1, 100, 1_000_000]);
            let piece = stream.snapshot_some(bytes).map_err(told)?.ok_or("the snapshot was given up")?;
            found.extend_from_slice(&piece.bytes);
            is_whole = piece.is_last;
        }
        after.push(read(&mut stream, offset));
    }
    while !is_whole {
        let piece = stream.snapshot_some(1_000).map_err(told)?.ok_or("the snapshot was given up")?;
        found.extend_from_slice(&piece.bytes);
        is_whole = piece.is_last;
    }
    // It may have more memory than before, or less.
    let mut restored = spilled::machine(seed + 1, number, config).restored(found.as_slice()).map_err(told)?;
    if restored.as_of() != (begin as i64 - 1, if begin == 0 { i64::MIN } else { log[begin - 1].0 }) && begin > 0 {
        return Err(format!("partition {partition}: restored as of {:?}, not {begin}", restored.as_of()));
    }
    if restored.whole_snapshot().map_err(told)? != expected {
        return Err(format!("partition {partition}: what is restored is not the state at {begin}"));
    }
    for (offset, expected) in (begin..).zip(&after) {
        differ(
            &format!("partition {partition}: {offset} after a restart at {begin}"),
            &read(&mut restored, offset),
            expected,
        )?;
        if restored.tally() != stream.tally() && offset + 1 == log.len() {
            return Err(format!("partition {partition}: {:?} sessions after a restart", restored.tally()));
        }
    }
    if restored.whole_snapshot().map_err(told)? != stream.whole_snapshot().map_err(told)? {
        return Err(format!("partition {partition}: another state at the end after a restart at {begin}"));
    }
    // Cut anywhere it is refused: half a state must not pass for one.
    found.truncate(rng.below(found.len() as u64) as usize);
    match Stream::restore(number, config, found.as_slice()) {
        Ok(_) => Err(format!("partition {partition}: a snapshot cut at {} was taken", found.len())),
        Err(_) => Ok(()),
    }
}

/// What an effect comes to, without the place of the record at hand, and with the session if it is told of one.
fn outcome(effect: &Effect) -> Option<(Option<SessionId>, String)> {
    let told = match effect {
        Effect::Session(update) => return Some((Some(update.session_id), format!("{update:?}"))),
        Effect::Candidate(candidate) => Some(format!("ask {} {}", candidate.decision_id, candidate.asked_at_ms)),
        Effect::Decided(decision) => Some(format!("decided {} {:?}", decision.decision_id, decision.outcome)),
        Effect::Retract { decision_id, .. } => Some(format!("retract {decision_id}")),
        Effect::Forward(forward) => Some(format!("{} to {}", forward.event.event_id, forward.user_id)),
        Effect::Reaction(reaction) => Some(format!("{} of {}", reaction.name, reaction.decision_id)),
        Effect::Capped { rule } => Some(format!("{rule} is capped")),
        Effect::Tell(told) => {
            Some(format!("{} is told that {} allows {}", told.visitor_id, told.user_id, told.consent.0))
        }
        Effect::Evidence(evidence) => {
            Some(format!("{} {:?} {:?}", evidence.kind, evidence.event_id, evidence.purposes))
        }
        Effect::Identity(identity) => {
            Some(format!("{} is {:?} until {:?}", identity.visitor_id, identity.user_id, identity.detached_at_ms))
        }
        Effect::Handoff(_) | Effect::Recall(_) => None,
    };
    told.map(|told| (None, told))
}
