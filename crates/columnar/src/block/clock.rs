//! Times written as text in one fixed form: `2026-11-23T09:18:43.123456Z`.

use super::{
    BlockError,
    typed::{power_of_ten, push_padded},
    wire::{Reader, push_sized},
};

/// How the times of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock<'a> {
    /// Between date and time.
    between: u8,
    /// Point or comma.
    point: u8,
    /// Digits of the fraction.
    digits: u8,
    /// Whether zeros at the end of the fraction are left out.
    cut: bool,
    /// What is behind: the zone.
    zone: &'a [u8],
}

/// Where the fraction begins.
const HEAD: usize = 19;
const MAX_ZONE: usize = 8;

impl<'a> Clock<'a> {
    /// The form of all `values` and their times, in units of the last digit since 1970, whatever the zone.
    pub(super) fn read_all(values: &[&'a [u8]]) -> Option<(Self, Vec<i64>)> {
        let mut clock = Self::of(values.first()?)?;
        for value in values {
            let other = Self::of(value)?;
            if (other.between, other.zone) != (clock.between, clock.zone) {
                return None;
            }
            if other.digits != clock.digits {
                clock.cut = true;
                if clock.digits == 0 {
                    clock.point = other.point;
                }
                clock.digits = clock.digits.max(other.digits);
            }
        }
        let times = values.iter().map(|v| clock.read(v)).collect::<Option<Vec<_>>>()?;
        Some((clock, times))
    }

    fn of(text: &'a [u8]) -> Option<Self> {
        let between = *text.get(10)?;
        let behind = text.get(HEAD..)?;
        let digits = match behind.first() {
            Some(b'.' | b',') => behind[1..].iter().take_while(|b| b.is_ascii_digit()).count(),
            _ => 0,
        };
        let zone = if digits > 0 { &behind[1 + digits..] } else { behind };
        let plausible = matches!(between, b'T' | b' ' | b't') && digits <= 9 && zone.len() <= MAX_ZONE;
        let point = if digits > 0 { behind[0] } else { b'.' };
        plausible.then_some(Clock { between, point, digits: digits as u8, cut: false, zone })
    }

    /// The time that is written as `text`, if there is one.
    pub(super) fn read(&self, text: &[u8]) -> Option<i64> {
        let n = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
        };
        let fixed = [(4, b'-'), (7, b'-'), (10, self.between), (13, b':'), (16, b':')];
        if fixed.iter().any(|(at, byte)| text.get(*at) != Some(byte)) {
            return None;
        }
        let (year, month, day) = (n(0, 4)?, n(5, 7)?, n(8, 10)?);
        let (hour, minute, second) = (n(11, 13)?, n(14, 16)?, n(17, 19)?);
        let days = days_of(year, month, day);
        if civil_of(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (mut fraction, mut digits) = (0, 0u8);
        let mut zone = &text[HEAD..];
        if zone.first() == Some(&self.point) && zone.get(1).is_some_and(u8::is_ascii_digit) {
            digits = zone[1..].iter().take_while(|b| b.is_ascii_digit()).count().min(10) as u8;
            fraction = n(HEAD + 1, HEAD + 1 + usize::from(digits))?;
            zone = &zone[1 + usize::from(digits)..];
        }
        let right_digits = if self.cut {
            digits <= self.digits && (digits == 0 || fraction % 10 != 0)
        } else {
            digits == self.digits
        };
        if zone != self.zone || !right_digits {
            return None;
        }
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        seconds
            .checked_mul(power_of_ten(self.digits))?
            .checked_add(fraction * power_of_ten(self.digits - digits))
    }

    /// Whether these bytes may be part of a time of this form.
    pub(super) fn may_hold(&self, bytes: &[u8]) -> bool {
        let known = |b: &u8| {
            b.is_ascii_digit()
                || matches!(b, b'-' | b':')
                || [self.between, self.point].contains(b)
                || self.zone.contains(b)
        };
        bytes.len() <= HEAD + 10 + MAX_ZONE && bytes.iter().all(known)
    }

    /// Nanoseconds of one unit.
    pub(super) fn unit_ns(&self) -> i64 {
        power_of_ten(9 - self.digits)
    }

    /// Writes a time.
    pub(super) fn push(&self, time: i64, out: &mut Vec<u8>) {
        let power = power_of_ten(self.digits);
        let (seconds, mut fraction) = (time.div_euclid(power), time.rem_euclid(power));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_of(days);
        let mut part = |n: i64, len: usize, behind: Option<u8>| {
            push_padded(n.unsigned_abs(), len, out);
            out.extend(behind);
        };
        part(year, 4, Some(b'-'));
        part(month, 2, Some(b'-'));
        part(day, 2, Some(self.between));
        part(second / 3600, 2, Some(b':'));
        part(second / 60 % 60, 2, Some(b':'));
        part(second % 60, 2, None);
        let mut digits = usize::from(self.digits);
        while self.cut && digits > 0 && fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        if digits > 0 {
            out.push(self.point);
            push_padded(fraction.unsigned_abs(), digits, out);
        }
        out.extend_from_slice(self.zone);
    }

    pub(super) fn write_form(&self, out: &mut Vec<u8>) {
        out.extend([self.between, self.point, self.digits | u8::from(self.cut) << 7]);
        push_sized(out, self.zone);
    }

    pub(super) fn read_form(reader: &mut Reader<'a>) -> Result<Self, BlockError> {
        let (between, point, digits) = (reader.byte()?, reader.byte()?, reader.byte()?);
        let zone = reader.sized()?;
        if digits & 0x7f > 9 || zone.len() > MAX_ZONE || !between.is_ascii() || !point.is_ascii() {
            return Err(BlockError("impossible form of time"));
        }
        Ok(Clock { between, point, digits: digits & 0x7f, cut: digits > 0x7f, zone })
    }
}

/// Days since 1970 of a date of the proleptic Gregorian calendar (Hinnant: chrono-compatible low-level date algorithms).
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day; the other way round.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(texts: &[&str]) -> Option<Vec<String>> {
        let values: Vec<&[u8]> = texts.iter().map(|t| t.as_bytes()).collect();
        let (clock, times) = Clock::read_all(&values)?;
        let mut form = Vec::new();
        clock.write_form(&mut form);
        let clock = Clock::read_form(&mut Reader::new(&form)).unwrap();
        Some(
            times
                .into_iter()
                .map(|t| {
                    let mut out = Vec::new();
                    clock.push(t, &mut out);
                    String::from_utf8(out).unwrap()
                })
                .collect(),
        )
    }

    #[test]
    fn times_of_one_form_come_back() {
        for texts in [
            &["2026-02-28T23:59:59.123456Z", "1969-12-31T00:00:00.000001Z"][..],
            &["2024-02-29 12:00:01,007+02:00"],
            &["2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z"],
            &["2026-01-01T00:00:00"],
        ] {
            assert_eq!(round_trip(texts).unwrap(), texts);
        }
        for bad in [
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01X00:00:00Z",
            "9999-01-01T00:00:00.000000001Z",
        ] {
            assert_eq!(round_trip(&[bad]), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_comes_back(texts in prop::collection::vec("20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.,][0-9]{0,10})?(Z|[+]01)?", 1..3)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            if let Some(back) = round_trip(&texts) {
                prop_assert_eq!(back, texts);
            }
        }

        #[test]
        fn any_time_is_written_without_a_panic(time in any::<i64>(), form in prop::collection::vec(any::<u8>(), 4..12)) {
            if let Ok(clock) = Clock::read_form(&mut Reader::new(&form)) {
                clock.push(time, &mut Vec::new());
            }
        }
    }
}
