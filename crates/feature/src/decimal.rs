//! Numbers in decimals: as they are written, not the binary ones that are nearest to them.

use crate::Val;
use crate::expr::{Arithmetic, Env, Node};
use rust_decimal::Decimal;

/// A number as it is written, with at least so many decimals; none where it is too large for decimals.
pub(crate) fn decimal(number: f64, decimals: u32) -> Option<Decimal> {
    let mut decimal = number.to_string().parse::<Decimal>().ok()?;
    if decimal.scale() < decimals {
        decimal.rescale(decimals);
    }
    Some(decimal)
}

/// A sum or difference with the decimals of the one that has more: the crate leaves those of a zero out.
pub(crate) fn with_decimals_of(result: Option<Decimal>, a: Decimal, b: Decimal) -> Option<Decimal> {
    let (mut result, decimals) = (result?, a.scale().max(b.scale()));
    if result.scale() < decimals {
        result.rescale(decimals);
    }
    Some(result)
}

/// The binary number that is nearest to it.
pub(crate) fn nearest_to(decimal: Decimal) -> Option<f64> {
    decimal.to_string().parse().ok()
}

impl Node {
    /// Its number, worked out in decimals; none where it has none, or one that is too large for decimals.
    pub(crate) fn decimal<'a, E: Env<'a>>(&'a self, env: &E, at: usize) -> Option<Decimal> {
        let float = match self.eval(env, at) {
            Val::Int(int) => return Some(int.into()),
            Val::Float(float) => float,
            _ => return None,
        };
        match self {
            Self::Arithmetic(op, nodes) => {
                let (a, b) = (nodes[0].decimal(env, at)?, nodes[1].decimal(env, at)?);
                match op {
                    Arithmetic::Add => with_decimals_of(a.checked_add(b), a, b),
                    Arithmetic::Subtract => with_decimals_of(a.checked_sub(b), a, b),
                    Arithmetic::Multiply => a.checked_mul(b),
                    Arithmetic::Divide => a.checked_div(b),
                    Arithmetic::Remainder => a.checked_rem(b),
                }
            }
            Self::Negate(node) => node.decimal(env, at).map(|decimal| -decimal),
            Self::If(nodes) => if nodes[0].eval(env, at).is_true() { &nodes[1] } else { &nodes[2] }.decimal(env, at),
            _ => decimal(float, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_keeps_its_decimals() {
        for (a, b, sum) in
            [("0.00", "90.5", "90.50"), ("90.5", "0.00", "90.50"), ("40.00", "10.5", "50.50"), ("0", "1", "1")]
        {
            let [a, b]: [Decimal; 2] = [a, b].map(|text| text.parse().unwrap());
            assert_eq!(with_decimals_of(a.checked_add(b), a, b).unwrap().to_string(), sum);
        }
    }
}
