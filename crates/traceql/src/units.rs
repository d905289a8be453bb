//! Durations as the language and Go write them.

/// Units with their nanoseconds; those of two letters come first. Days are ours, as in newer releases' documentation of ranges.
const UNITS: [(&str, i128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads `1h30m`, `1.5s`, `100ms`, `1d`, in nanoseconds; none if it is no duration or does not fit.
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let size = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if number.len() > 30 || (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        if !whole.is_empty() {
            total = total.checked_add(whole.parse::<i128>().ok()?.checked_mul(size)?)?;
        }
        let mut place = size;
        for digit in fraction.bytes() {
            place /= 10;
            total = total.checked_add(i128::from(digit - b'0') * place)?;
        }
        rest = after;
    }
    i64::try_from(total).ok()
}

/// Writes nanoseconds as Go does: `1h30m0s`, `1.5s`, `20ms`.
pub fn format_duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let n = ns.unsigned_abs();
    match n {
        0 => "0s".to_owned(),
        n if n < 1_000 => format!("{sign}{n}ns"),
        n if n < 1_000_000 => format!("{sign}{}µs", decimals(n, 1_000)),
        n if n < 1_000_000_000 => format!("{sign}{}ms", decimals(n, 1_000_000)),
        n => {
            let (minutes, seconds) = (n / 60_000_000_000, decimals(n % 60_000_000_000, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

fn decimals(value: u64, size: u64) -> String {
    let (whole, rest) = (value / size, value % size);
    if rest == 0 {
        return whole.to_string();
    }
    let width = size.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print_as_in_go() {
        for (text, ns, printed) in [
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("5us", 5_000, "5µs"),
            ("1d", 86_400_000_000_000, "24h0m0s"),
            ("0s", 0, "0s"),
        ] {
            assert_eq!(parse_duration(text), Some(ns), "{text}");
            assert_eq!(format_duration(ns), printed);
            assert_eq!(parse_duration(printed), Some(ns));
        }
        for text in ["", "1", "s", "1x", "1.2.3s", ".s", "99999999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
