//! Who acts faster than people do: a hundred times a second, or thirty times a second for a minute.

/// The times at which a visitor has acted, in the order of arrival. Epoch ms.
#[derive(Debug, Default)]
pub(super) struct Pace(Vec<i64>);

impl Pace {
    /// They act; whether they are a robot by now.
    pub(super) fn is_a_robots(&mut self, time_ms: i64) -> bool {
        self.0.push(time_ms);
        self.too_many(1_000, 100) || self.too_many(60_000, 1_800)
    }

    /// More than so many within one second or minute. One that is over when the act arrives takes no more.
    fn too_many(&self, long_ms: i64, most: usize) -> bool {
        let mut now = i64::MIN;
        let in_time = self.0.iter().map(|time_ms| time_ms.div_euclid(long_ms)).filter(|at| {
            now = now.max(*at);
            *at == now
        });
        let all: Vec<i64> = in_time.collect();
        all.chunk_by(|one, other| one == other).any(|within| within.len() > most)
    }
}
