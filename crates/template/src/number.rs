//! Numbers under the verbs of `printf` (Go's `strconv` and `fmt`).

use crate::print::Spec;

/// An integer under a verb, without padding; `None` if the verb is not for integers.
pub(crate) fn format_int(v: i64, verb: char, spec: &Spec, max_digits: usize) -> Option<String> {
    let magnitude = v.unsigned_abs();
    let (mut digits, prefix) = match verb {
        'd' | 'v' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), if spec.sharp { "0b" } else { "" }),
        'o' => (format!("{magnitude:o}"), if spec.sharp { "0" } else { "" }),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), if spec.sharp { "0x" } else { "" }),
        'X' => (format!("{magnitude:X}"), if spec.sharp { "0X" } else { "" }),
        'c' => return Some(character(v).to_string()),
        'q' => return Some(quoted(character(v))),
        'U' => return Some(unicode(v, spec)),
        _ => return None,
    };
    match spec.precision {
        Some(0) if v == 0 => return Some(String::new()),
        Some(n) if n > digits.len() => digits.insert_str(0, &"0".repeat(n.min(max_digits) - digits.len())),
        _ => {}
    }
    Some(format!("{}{prefix}{digits}", sign(v < 0, spec)))
}

fn sign(negative: bool, spec: &Spec) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn character(v: i64) -> char {
    u32::try_from(v).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn quoted(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => {
            let text = reba_model::float::go_quote(&c.to_string());
            format!("'{}'", &text[1..text.len() - 1])
        }
    }
}

fn unicode(v: i64, spec: &Spec) -> String {
    let text = format!("U+{v:04X}");
    if spec.sharp { format!("{text} '{}'", character(v)) } else { text }
}

/// A float under a verb, without padding; `None` if the verb is not for floats.
pub(crate) fn format_float(v: f64, verb: char, spec: &Spec) -> Option<String> {
    let lower = match verb {
        'v' => 'g',
        'e' | 'f' | 'g' => verb,
        'F' => 'f',
        'E' | 'G' => verb.to_ascii_lowercase(),
        _ => return None,
    };
    if v.is_nan() {
        return Some(if spec.plus { "+NaN".to_owned() } else { format!("{}NaN", sign(false, spec)) });
    }
    let sign = sign(v.is_sign_negative(), spec);
    let v = v.abs();
    if v.is_infinite() {
        return Some(format!("{}Inf", if sign.is_empty() { "+" } else { sign }));
    }
    // More digits than a double has in its longest exact form carry nothing.
    let precision = spec.precision.map(|p| p.min(1100));
    let body = match lower {
        'e' => exponential(&scientific(v, precision.unwrap_or(6) + 1), precision.unwrap_or(6)),
        'f' => format!("{v:.*}", precision.unwrap_or(6)),
        _ => general(v, precision, spec.sharp),
    };
    let body = if verb.is_ascii_uppercase() { body.to_ascii_uppercase() } else { body };
    Some(format!("{sign}{body}"))
}

/// The shortest `%g`, which is also `%v`: `1e+06`, `0.25`, `+Inf`.
pub fn shortest(v: f64) -> String {
    format_float(v, 'v', &Spec::default()).unwrap_or_default()
}

/// Digits without the point, and the power of ten of the first one.
struct Decimal {
    digits: String,
    exponent: i32,
}

/// `digits` significant digits, correctly rounded.
fn scientific(v: f64, digits: usize) -> Decimal {
    split(&format!("{v:.*e}", digits.saturating_sub(1)))
}

fn split(text: &str) -> Decimal {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    Decimal { digits: mantissa.replace('.', ""), exponent: exponent.parse().unwrap_or(0) }
}

fn exponential(d: &Decimal, precision: usize) -> String {
    let mut out = String::from(&d.digits[..1]);
    if precision > 0 {
        out.push('.');
        let fraction = &d.digits[1..];
        out.push_str(&fraction[..fraction.len().min(precision)]);
        for _ in fraction.len()..precision {
            out.push('0');
        }
    }
    let sign = if d.exponent < 0 { '-' } else { '+' };
    out.push_str(&format!("e{sign}{:02}", d.exponent.abs()));
    out
}

/// Where the shortest form of `%g` and `%v` turns to an exponent.
const SHORTEST_THRESHOLD: i32 = 6;

/// `%g`: with an exponent below -4, and from the precision on.
fn general(v: f64, precision: Option<usize>, keep_zeros: bool) -> String {
    let wanted = precision.map(|p| p.max(1));
    let mut d = match wanted {
        Some(p) => scientific(v, p),
        None => split(&reba_model::float::scientific(v)),
    };
    let kept = d.digits.trim_end_matches('0').len().max(1);
    d.digits.truncate(kept);
    let count = d.digits.len() as i32;
    let point = d.exponent + 1;
    let threshold = match wanted {
        None => SHORTEST_THRESHOLD,
        Some(p) if p as i32 > count && count >= point => count,
        Some(p) => p as i32,
    };
    if d.exponent < -4 || d.exponent >= threshold {
        let precision = if keep_zeros { wanted.unwrap_or(6) - 1 } else { d.digits.len() - 1 };
        return exponential(&d, precision);
    }
    let mut out = plain(&d);
    if keep_zeros {
        if !out.contains('.') {
            out.push('.');
        }
        let have = out.bytes().filter(u8::is_ascii_digit).count();
        for _ in have..wanted.unwrap_or(6) {
            out.push('0');
        }
    }
    out
}

fn plain(d: &Decimal) -> String {
    if d.exponent < 0 {
        return format!("0.{}{}", "0".repeat((-d.exponent - 1) as usize), d.digits);
    }
    let whole = d.exponent as usize + 1;
    if d.digits.len() <= whole {
        return format!("{}{}", d.digits, "0".repeat(whole - d.digits.len()));
    }
    format!("{}.{}", &d.digits[..whole], &d.digits[whole..])
}
