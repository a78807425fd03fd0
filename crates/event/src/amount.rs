//! Amounts added up as people write them, in decimals: 0.1 and 0.2 are 0.3, in whatever order they come.
//!
//! A number of at most six decimals stands for what is written; the result is the binary number nearest to the sum of what is
//! written, so adding is associative and a sum does not depend on when a snapshot was taken or which partials were joined
//! first. A library's decimals take eight times as long to get from and to a binary number (`benches/amount.rs`), and a
//! window's sum goes over up to 65,536 facts while a partition waits.

/// Currencies have up to three decimals, prices of fuel and shares four, what is reckoned in cents of a click six.
const PARTS: f64 = 1e6;
/// Up to here two roundings stay below half of a part.
const PARTS_MAX: f64 = (1_i64 << 50) as f64;

/// How many millionths it is written as; none where it has more decimals than that, or is beyond a billion.
fn parts(number: f64) -> Option<f64> {
    let parts = (number * PARTS).round();
    (parts.abs() <= PARTS_MAX && parts / PARTS == number).then_some(parts)
}

/// The sum of two amounts. Of others than [the module](self) is about it is that of the binary numbers.
#[must_use]
pub fn plus(a: f64, b: f64) -> f64 {
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => (a + b) / PARTS,
        _ => a + b,
    }
}

/// So many times an amount; likewise.
#[must_use]
pub fn times(amount: f64, pieces: i64) -> f64 {
    let pieces = pieces as f64;
    match parts(amount).map(|amount| amount * pieces).filter(|all| all.abs() <= PARTS_MAX) {
        Some(all) => all / PARTS,
        None => amount * pieces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is done by hand: in whole millionths, and back by way of the text.
    fn by_hand(millionths: i128) -> f64 {
        let (sign, size) = (if millionths < 0 { "-" } else { "" }, millionths.unsigned_abs());
        format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000).parse().unwrap_or(f64::NAN)
    }

    #[test]
    fn amounts_are_added_as_they_are_written() {
        assert_eq!((plus(0.1, 0.2), plus(0.3, -0.1), plus(19.99, 19.99)), (0.3, 0.2, 39.98));
        assert_eq!((times(1.1, 3), times(19.99, -3), times(0.1, 0)), (3.3, -59.97, 0.0));
        assert_eq!(plus(1.0 / 3.0, 0.1), 1.0 / 3.0 + 0.1, "a third is not written in decimals");
        assert_eq!((plus(1e300, 0.1), times(1e12, 7)), (1e300, 7e12), "too large to have cents");
        assert!(plus(f64::NAN, 1.0).is_nan() && plus(1.0, f64::NAN).is_nan() && times(f64::NAN, 2).is_nan());
        assert_eq!((plus(f64::INFINITY, 1.0), times(f64::NEG_INFINITY, 2)), (f64::INFINITY, f64::NEG_INFINITY));
    }

    #[test]
    fn any_amounts_up_to_a_billion_in_any_order_are_their_sum() {
        let mut rng = fastrand::Rng::with_seed(17);
        for round in 0..20_000 {
            // Of all sizes, as often at an end as anywhere.
            let most = 10_i64.pow(rng.u32(1..=13));
            let mut amounts: Vec<i64> = (0..rng.usize(2..40)).map(|_| rng.i64(-most..=most)).collect();
            let expected = by_hand(amounts.iter().map(|amount| i128::from(*amount)).sum());
            for _ in 0..2 {
                let sum = amounts.iter().map(|amount| by_hand(i128::from(*amount))).fold(0.0, plus);
                assert_eq!(sum, expected, "round {round}: {amounts:?}");
                rng.shuffle(&mut amounts);
            }
            let pieces = rng.i64(-99..=99);
            assert_eq!(times(by_hand(i128::from(amounts[0])), pieces), by_hand(i128::from(amounts[0] * pieces)));
        }
    }
}
