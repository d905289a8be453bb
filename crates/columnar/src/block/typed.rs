//! Texts that are numbers, times, addresses: as integers and back, to the byte.
//!
//! Every reader here takes only texts that its writer gives back exactly.

/// How integers of a column are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Whole numbers.
    Int,
    /// Decimals.
    Decimal(Decimal),
    /// Dotted addresses.
    Ipv4,
    /// Whole numbers with zeros in front, all of so many digits.
    Padded(u8),
}

/// Numbers with a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    /// The integer is the number times ten to this power.
    pub(super) scale: u8,
    pub(super) zeros: Zeros,
}

/// What becomes of zeros at the end of a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeros {
    /// Every fraction has as many digits as the scale says.
    Kept,
    /// They are left out, and the point too if nothing is behind it.
    Cut,
    /// They are left out, but for one behind the point.
    CutToOne,
}

/// Greatest power of ten a column may be scaled by.
pub(super) const MAX_SCALE: u8 = 17;

const POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let mut i = 1;
    while i < 19 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Ten to a power of up to 18.
pub(super) fn power_of_ten(exponent: u8) -> i64 {
    POWERS[usize::from(exponent).min(18)]
}

/// Up to 18 digits.
fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    let mut n = 0i64;
    for b in text {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + i64::from(digit);
    }
    Some(n)
}

/// A whole number without needless zeros or signs.
pub(super) fn int(text: &[u8]) -> Option<i64> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let n = digits(unsigned)?;
    if unsigned[0] == b'0' && text.len() > 1 {
        return None;
    }
    Some(if unsigned.len() < text.len() { -n } else { n })
}

/// The digits of a decimal and how many of them are behind the point; no `-0`.
fn decimal(text: &[u8]) -> Option<(i64, u8)> {
    let Some(point) = memchr::memchr(b'.', text) else { return int(text).map(|n| (n, 0)) };
    let (whole, fraction) = (&text[..point], &text[point + 1..]);
    let unsigned = whole.strip_prefix(b"-").unwrap_or(whole);
    if unsigned.len() + fraction.len() > 18 || (unsigned.len() > 1 && unsigned[0] == b'0') {
        return None;
    }
    let scale = fraction.len() as u8;
    let n = digits(unsigned)? * power_of_ten(scale) + digits(fraction)?;
    match unsigned.len() < whole.len() {
        true if n == 0 => None,
        true => Some((-n, scale)),
        false => Some((n, scale)),
    }
}

/// Whole numbers or decimals of one form.
pub(super) fn numbers(values: &[&[u8]]) -> Option<(Format, Vec<i64>)> {
    let mut parsed = Vec::with_capacity(values.len());
    let (mut least, mut most, mut zero_at_end, mut bare_zero, mut whole) = (u8::MAX, 0, false, false, false);
    for text in values {
        let (n, scale) = decimal(text)?;
        (least, most) = (least.min(scale), most.max(scale));
        if scale == 0 {
            whole = true;
        } else if n % 10 == 0 {
            if scale == 1 {
                bare_zero = true;
            } else {
                zero_at_end = true;
            }
        }
        parsed.push((n, scale));
    }
    if most == 0 {
        return Some((Format::Int, parsed.into_iter().map(|(n, _)| n).collect()));
    }
    let zeros = match (least == most, zero_at_end, bare_zero, whole) {
        (true, ..) => Zeros::Kept,
        (_, false, false, _) => Zeros::Cut,
        (_, false, true, false) => Zeros::CutToOne,
        _ => return None,
    };
    if zeros == Zeros::Cut && !whole && least > 0 && most == 0 {
        return None;
    }
    let scaled = parsed.into_iter().map(|(n, scale)| {
        let n = n.checked_mul(power_of_ten(most - scale))?;
        (n.unsigned_abs() < 1_000_000_000_000_000_000).then_some(n)
    });
    Some((Format::Decimal(Decimal { scale: most, zeros }), scaled.collect::<Option<_>>()?))
}

/// Whole numbers of one length, some of them with zeros in front.
pub(super) fn padded(values: &[&[u8]]) -> Option<(Format, Vec<i64>)> {
    let len = values.first()?.len();
    let number = |text: &&[u8]| if text.len() == len { digits(text) } else { None };
    let numbers = values.iter().map(number).collect::<Option<_>>()?;
    Some((Format::Padded(len as u8), numbers))
}

/// An address as a number.
pub(super) fn ipv4(text: &[u8]) -> Option<i64> {
    if text.len() > 15 {
        return None;
    }
    let mut address = 0;
    let mut parts = 0;
    for part in text.split(|b| *b == b'.') {
        parts += 1;
        let octet = if part.len() <= 3 { int(part)? } else { return None };
        if !(0..256).contains(&octet) || parts > 4 {
            return None;
        }
        address = address << 8 | octet;
    }
    (parts == 4).then_some(address)
}

impl Format {
    /// The integer that is written as `text`, if there is one.
    pub(super) fn parse(self, text: &[u8]) -> Option<i64> {
        let n = match self {
            Format::Int => int(text)?,
            Format::Ipv4 => ipv4(text)?,
            Format::Padded(len) if text.len() == usize::from(len) => digits(text)?,
            Format::Padded(_) => return None,
            Format::Decimal(form) => {
                let (n, scale) = decimal(text)?;
                n.checked_mul(power_of_ten(form.scale.checked_sub(scale)?))?
            }
        };
        let mut written = Vec::with_capacity(24);
        self.push(n, &mut written);
        (written == text).then_some(n)
    }

    /// Writes an integer of the column.
    pub(super) fn push(self, n: i64, out: &mut Vec<u8>) {
        match self {
            Format::Int => push_int(n, out),
            Format::Decimal(form) => form.push(n, out),
            Format::Padded(len) => push_padded(n.unsigned_abs(), usize::from(len), out),
            Format::Ipv4 => {
                for (i, octet) in (n as u32).to_be_bytes().into_iter().enumerate() {
                    if i > 0 {
                        out.push(b'.');
                    }
                    push_int(i64::from(octet), out);
                }
            }
        }
    }

    /// The number an integer of the column stands for: what reading its text as a number gives.
    pub(super) fn number(self, n: i64) -> Option<f64> {
        const EXACT: u64 = 1 << 53;
        match self {
            Format::Int | Format::Padded(_) => Some(n as f64),
            // A quotient of two exact numbers is rounded once, as a text is (Clinger 1990).
            Format::Decimal(form) if n.unsigned_abs() <= EXACT => {
                Some(n as f64 / power_of_ten(form.scale) as f64)
            }
            Format::Decimal(_) => {
                let mut text = Vec::new();
                self.push(n, &mut text);
                std::str::from_utf8(&text).ok()?.parse().ok()
            }
            Format::Ipv4 => None,
        }
    }
}

impl Decimal {
    fn push(self, n: i64, out: &mut Vec<u8>) {
        let power = power_of_ten(self.scale).unsigned_abs();
        let magnitude = n.unsigned_abs();
        let (whole, mut fraction) = (magnitude / power, magnitude % power);
        if n < 0 {
            out.push(b'-');
        }
        push_unsigned(whole, out);
        let mut len = usize::from(self.scale);
        if self.zeros != Zeros::Kept {
            while len > 0 && fraction % 10 == 0 {
                fraction /= 10;
                len -= 1;
            }
            if len == 0 && self.zeros == Zeros::CutToOne {
                len = 1;
            }
        }
        if len > 0 {
            out.push(b'.');
            push_padded(fraction, len, out);
        }
    }
}

pub(super) fn push_int(n: i64, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    push_unsigned(n.unsigned_abs(), out);
}

fn push_unsigned(mut n: u64, out: &mut Vec<u8>) {
    let mut buffer = [0; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[at..]);
}

/// The last `len` digits, zeros in front.
pub(super) fn push_padded(mut n: u64, len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + len, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_texts_that_come_back_are_numbers() {
        for bad in ["", "-", "007", "-0", "1e5", "1.", ".5", "+1", "0x1", "1234567890123456789", "-0.0"] {
            assert_eq!(numbers(&[bad.as_bytes()]), None, "{bad}");
        }
        assert_eq!(ipv4(b"10.0.0.255"), Some(0x0a_00_00_ff));
        for bad in ["10.0.0.256", "10.0.0", "1.2.3.4.5", "01.2.3.4", "1.2.3.", "-1.2.3.4"] {
            assert_eq!(ipv4(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn zeros_in_front_are_kept() {
        let texts: [&[u8]; 3] = [b"0000012", b"1234567", b"0000000"];
        let (format, numbers) = padded(&texts).unwrap();
        assert_eq!((format, numbers.as_slice()), (Format::Padded(7), [12, 1_234_567, 0].as_slice()));
        for (text, n) in texts.iter().zip(numbers) {
            let mut written = Vec::new();
            format.push(n, &mut written);
            assert_eq!((written.as_slice(), format.parse(text)), (*text, Some(n)));
        }
        assert_eq!((format.parse(b"12"), padded(&[b"01", b"1"]), padded(&[b"0x"])), (None, None, None));
    }

    proptest! {
        #[test]
        fn numbers_come_back_as_they_were_written(texts in prop::collection::vec("-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,4})?", 1..6)) {
            let values: Vec<&[u8]> = texts.iter().map(|t| t.as_bytes()).collect();
            if let Some((format, numbers)) = numbers(&values) {
                for (text, n) in texts.iter().zip(numbers) {
                    let mut written = Vec::new();
                    format.push(n, &mut written);
                    prop_assert_eq!(std::str::from_utf8(&written).unwrap(), text);
                    prop_assert_eq!(format.number(n), text.parse().ok());
                    prop_assert_eq!(format.parse(text.as_bytes()), Some(n));
                }
            }
        }
    }
}
