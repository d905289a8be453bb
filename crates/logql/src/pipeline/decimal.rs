//! Sums, products and quotients of decimal fractions, for the functions of templates: there 63.496 and 1.5 are 64.996, and not the
//! nearest binary fraction to it.

/// Decimals of a quotient, as upstream's library has them.
const QUOTIENT_DECIMALS: u32 = 16;

/// `digits / 10^decimals`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    digits: i128,
    decimals: u32,
}

impl Decimal {
    /// The shortest decimal fraction that reads as this number; none if it has too many digits for exact sums.
    fn of(value: f64) -> Option<Self> {
        let text = format!("{value}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        if whole.len() + fraction.len() > 34 {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { digits, decimals: u32::try_from(fraction.len()).ok()? })
    }

    fn scaled(self, decimals: u32) -> Option<i128> {
        self.digits.checked_mul(10i128.checked_pow(decimals.checked_sub(self.decimals)?)?)
    }

    fn value(self) -> Option<f64> {
        format!("{}e-{}", self.digits, self.decimals).parse().ok()
    }
}

/// What is done to two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operation {
    /// The result; of numbers that are too large to be exact, the nearest binary fraction.
    pub(super) fn of(self, a: f64, b: f64) -> Result<f64, String> {
        if !a.is_finite() || !b.is_finite() {
            return Err(format!("{a} and {b} are not both numbers"));
        }
        if self == Operation::Divide && b == 0.0 {
            return Err("decimal division by 0".to_owned());
        }
        let exact =
            Decimal::of(a).zip(Decimal::of(b)).and_then(|(a, b)| self.exact(a, b)).and_then(Decimal::value);
        Ok(exact.unwrap_or(match self {
            Operation::Add => a + b,
            Operation::Subtract => a - b,
            Operation::Multiply => a * b,
            Operation::Divide => a / b,
        }))
    }

    fn exact(self, a: Decimal, b: Decimal) -> Option<Decimal> {
        let decimals = a.decimals.max(b.decimals);
        let digits = match self {
            Operation::Add => a.scaled(decimals)?.checked_add(b.scaled(decimals)?)?,
            Operation::Subtract => a.scaled(decimals)?.checked_sub(b.scaled(decimals)?)?,
            Operation::Multiply => {
                let digits = a.digits.checked_mul(b.digits)?;
                return Some(Decimal { digits, decimals: a.decimals + b.decimals });
            }
            Operation::Divide => return quotient(a, b),
        };
        Some(Decimal { digits, decimals })
    }
}

/// Rounded half away from zero.
fn quotient(a: Decimal, b: Decimal) -> Option<Decimal> {
    let decimals = a.decimals.max(b.decimals);
    let (a, b) = (a.scaled(decimals)?, b.scaled(decimals)?);
    let tenfold = a.checked_mul(10i128.pow(QUOTIENT_DECIMALS + 1))? / b;
    let digits = (tenfold + 5 * tenfold.signum()) / 10;
    Some(Decimal { digits, decimals: QUOTIENT_DECIMALS })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_fractions_are_exact() {
        for (operation, a, b, result) in [
            (Operation::Add, 63.496, 1.5, 64.996),
            (Operation::Subtract, 0.3, 0.1, 0.2),
            (Operation::Multiply, 1.1, 1.1, 1.21),
            (Operation::Divide, 1.0, 3.0, 0.333_333_333_333_333_3),
            (Operation::Divide, -2.0, 3.0, -0.666_666_666_666_666_7),
            (Operation::Add, 1e300, 1.0, 1e300),
        ] {
            assert_eq!(operation.of(a, b), Ok(result), "{operation:?} {a} {b}");
        }
        assert!(Operation::Divide.of(1.0, 0.0).is_err() && Operation::Add.of(f64::NAN, 0.0).is_err());
    }

    proptest! {
        #[test]
        fn results_are_near_those_of_binary_fractions(a in -1e9f64..1e9, b in -1e9f64..1e9) {
            let near = |x: f64, y: f64| (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0);
            prop_assert!(near(Operation::Add.of(a, b).unwrap(), a + b));
            prop_assert!(near(Operation::Multiply.of(a, b).unwrap(), a * b));
            prop_assert!(b == 0.0 || near(Operation::Divide.of(a, b).unwrap(), a / b));
        }
    }
}
