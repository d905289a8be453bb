//! Summation that keeps what rounding would lose.

/// Adds `x` to the running `sum` with its compensation term: Neumaier's variant of Kahan summation. Returns the new
/// pair; the result of the whole is their sum. A sum that overflows drops its compensation.
#[inline]
pub fn add(x: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let t = sum + x;
    let c = if t.is_infinite() {
        0.0
    } else if sum.abs() >= x.abs() {
        compensation + ((sum - t) + x)
    } else {
        compensation + ((x - t) + sum)
    };
    (t, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_between_large_ones() {
        let (mut sum, mut c) = (0.0, 0.0);
        for x in [1.0, 1e100, 1.0, -1e100] {
            (sum, c) = add(x, sum, c);
        }
        assert_eq!(sum + c, 2.0);
        assert_eq!(add(f64::MAX, f64::MAX, 5.0), (f64::INFINITY, 0.0));
    }
}
