//! Adding up amounts: as the module does it, by a library's decimals, and as binary numbers, which are not what is written.

use divan::counter::ItemsCount;
use rust_decimal::Decimal;

fn main() {
    divan::main();
}

/// As many as a shopper's facts may be.
fn amounts() -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(17);
    (0..65_536).map(|_| f64::from(rng.u32(1..20_000)) / 100.0).collect()
}

#[divan::bench]
fn in_parts(bencher: divan::Bencher) {
    let amounts = amounts();
    let sum = || divan::black_box(&amounts).iter().copied().fold(0.0, midsession_event::plus);
    bencher.counter(ItemsCount::new(amounts.len())).bench_local(sum);
}

#[divan::bench]
fn by_the_library(bencher: divan::Bencher) {
    let amounts = amounts();
    // `Decimal::from_f64` gives the same for these, and rounds others.
    let decimal = |amount: &f64| amount.to_string().parse::<Decimal>().unwrap_or_default();
    let sum = || divan::black_box(&amounts).iter().map(decimal).sum::<Decimal>().to_string().parse::<f64>();
    bencher.counter(ItemsCount::new(amounts.len())).bench_local(sum);
}

#[divan::bench]
fn binary(bencher: divan::Bencher) {
    let amounts = amounts();
    bencher.counter(ItemsCount::new(amounts.len())).bench_local(|| divan::black_box(&amounts).iter().sum::<f64>());
}
