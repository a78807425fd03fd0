//! A run with far less room than there are shoppers: what is forgotten is nobody's to say, but what is kept has its shape,
//! caps hold, and the same log still gives the same state.

use crate::draw::Shoppers;
use crate::replay::restart;
use crate::rng::Rng;
use crate::scenario::START_MS;
use crate::shape::Shapes;
use crate::spilled;
use crate::world::{Ticks, Ways, World};
use midsession_event::{Record, partition_of};
use midsession_machine::Invariant;
use midsession_stream::{Config, Stream};

/// Runs the shoppers of a seed. Returns how many were forgotten for want of room.
pub fn run(seed: u64, steps: usize) -> Result<u64, String> {
    let mut rng = Rng::new(seed);
    let config = Config {
        partitions: rng.pick(&[1, 2, 3]),
        shoppers_max: rng.pick(&[1, 2, 3]),
        field_bytes_max: 1_000,
        ..Config::default()
    };
    let ways = Ways {
        ticks: rng.pick(&[Ticks::Within(0), Ticks::Within(1_000), Ticks::Never]),
        route_ms: rng.pick(&[0, 3, 100]),
        decide_ms: rng.pick(&[0, 3_000]),
        twice: rng.pick(&[0, 10]),
        forgotten: rng.pick(&[0, 20]),
        painted: rng.pick(&[0, 90]),
    };
    let arrivals = Shoppers::draw(Rng::new(rng.bits()), START_MS, steps);
    let mut world = World::new(config, ways, START_MS, Rng::new(rng.bits()));
    for (at_ms, event) in arrivals {
        let partition = partition_of(event.key(), config.partitions).0;
        world.append_at(at_ms, partition, Record::Event(Box::new(event)));
    }
    world.spill(|partition| spilled::of_seed(seed, partition));
    let mut shapes = Shapes::of_the_forgotten();
    while let Some(step) = world.step() {
        let stream = &world.streams[step.partition as usize];
        shapes.look(stream, false)?;
        fits(stream, config)?;
    }
    for partition in 0..world.logs.len() {
        restart(&mut rng, seed, partition, &world, config).map_err(|cause| format!("I8: {cause}"))?;
    }
    Ok(world.streams.iter().map(|stream| stream.counters().shoppers_dropped).sum())
}

/// Under the caps. Who was forgotten and sends the same again begins anew: versions, decisions, and what a login moves.
fn fits(stream: &Stream, config: Config) -> Result<(), String> {
    if stream.len() > config.shoppers_max {
        return Err(format!("I12: {} shoppers of {}", stream.len(), config.shoppers_max));
    }
    let seen = stream.violations();
    let anew = [Invariant::Versions, Invariant::Sessions, Invariant::Once];
    match Invariant::ALL.into_iter().find(|invariant| seen.of(*invariant) > 0 && !anew.contains(invariant)) {
        Some(invariant) => Err(format!("{}: the machine has seen itself that it does not hold", invariant.id())),
        None => Ok(()),
    }
}
