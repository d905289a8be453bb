//! InfluxDB's line protocol: `measurement,tag=value field=1.5,other=2i 1700000000000000000`.
//!
//! A line is cut into its parts and nothing of it is copied. In the measurement, in tags and in names of fields a
//! backslash takes a comma, a blank or an equals sign for itself; in a text, a quote or a backslash. A text may hold line
//! feeds. Reference: InfluxDB's "Line protocol" (v1 and v2).

use std::borrow::Cow;

use super::Precision;

/// A point: some fields of one measurement.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line<'a> {
    /// Where it begins: the first line is 1.
    pub(super) number: usize,
    /// Measurement and tags as they are written.
    pub(super) head: &'a [u8],
    /// Names of fields as they are written, and their values; texts that are no number are left out.
    pub(super) fields: Vec<(&'a [u8], f64)>,
    /// Unix milliseconds.
    pub(super) time: Option<i64>,
}

/// Walks over the lines of a body.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    precision: Precision,
}

impl<'a> Lines<'a> {
    pub(super) fn new(body: &'a [u8], precision: Precision) -> Self {
        Lines { rest: body, number: 1, precision }
    }

    /// Reads the next point into `line`; `None` at the end. After an error the next call goes on with the next line.
    pub(super) fn next(&mut self, line: &mut Line<'a>) -> Option<Result<(), String>> {
        self.skip_empty();
        if self.rest.is_empty() {
            return None;
        }
        line.number = self.number;
        line.fields.clear();
        let start = self.rest;
        let result = self.read(line);
        if result.is_err() {
            // From where the line began: a quote that never ends must not hide what follows.
            (self.rest, self.number) = (start, line.number);
        }
        self.skip_line(result.is_ok());
        Some(result)
    }

    /// Skips empty lines and comments.
    fn skip_empty(&mut self) {
        loop {
            let blank = self.rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
            let (skipped, rest) = self.rest.split_at(blank);
            self.number += count_lines(skipped);
            self.rest = rest;
            if self.rest.first() != Some(&b'#') {
                return;
            }
            self.skip_line(false);
        }
    }

    /// Goes behind the line feed; after a point, only blanks are before it.
    fn skip_line(&mut self, read: bool) {
        let end = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |i| i + 1);
        debug_assert!(!read || self.rest[..end].iter().all(|b| b.is_ascii_whitespace()));
        let (skipped, rest) = self.rest.split_at(end);
        self.number += count_lines(skipped);
        self.rest = rest;
    }

    fn read(&mut self, line: &mut Line<'a>) -> Result<(), String> {
        line.head = self.take_until(b" \n");
        if self.rest.first() != Some(&b' ') {
            return Err("missing fields".to_owned());
        }
        self.skip_blanks();
        loop {
            let name = self.take_until(b"= \n");
            if self.rest.first() != Some(&b'=') {
                return Err(format!("missing value of field {:?}", String::from_utf8_lossy(name)));
            }
            self.rest = &self.rest[1..];
            if name.is_empty() {
                return Err("field without a name".to_owned());
            }
            if let Some(v) = self.value(name)? {
                line.fields.push((name, v));
            }
            match self.rest.first() {
                Some(b',') => self.rest = &self.rest[1..],
                _ => break,
            }
        }
        self.skip_blanks();
        let end = self.rest.iter().position(|b| b" \t\r\n".contains(b)).unwrap_or(self.rest.len());
        let (time, rest) = self.rest.split_at(end);
        self.rest = rest;
        line.time = if time.is_empty() { None } else { Some(self.precision.millis(time)?) };
        self.skip_blanks();
        match self.rest.first() {
            None | Some(b'\n') => Ok(()),
            Some(_) => Err("more than a timestamp after the fields".to_owned()),
        }
    }

    fn skip_blanks(&mut self) {
        let blank = self.rest.iter().take_while(|b| b" \t\r".contains(b)).count();
        self.rest = &self.rest[blank..];
    }

    /// Takes bytes until one of `ends` that no backslash stands before.
    fn take_until(&mut self, ends: &[u8]) -> &'a [u8] {
        let mut at = 0;
        while let Some(b) = self.rest.get(at) {
            if *b == b'\\' && self.rest.get(at + 1).is_some_and(|b| b",= ".contains(b)) {
                at += 2;
            } else if ends.contains(b) {
                break;
            } else {
                at += 1;
            }
        }
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest;
        taken
    }

    /// Reads a value; `None` for one that is no number.
    fn value(&mut self, name: &[u8]) -> Result<Option<f64>, String> {
        if self.rest.first() == Some(&b'"') {
            return self.quoted(name);
        }
        let end = self.rest.iter().position(|b| b", \t\r\n".contains(b)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let shown =
            || format!("field {:?} = {:?}", String::from_utf8_lossy(name), String::from_utf8_lossy(text));
        match text {
            b"" => Err(format!("missing value of field {:?}", String::from_utf8_lossy(name))),
            b"t" | b"T" | b"true" | b"True" | b"TRUE" => Ok(Some(1.0)),
            b"f" | b"F" | b"false" | b"False" | b"FALSE" => Ok(Some(0.0)),
            [digits @ .., b'i'] => match parse::<i64>(digits) {
                Some(v) => Ok(Some(v as f64)),
                None => Err(format!("{}: not an integer", shown())),
            },
            [digits @ .., b'u'] => match parse::<u64>(digits) {
                Some(v) => Ok(Some(v as f64)),
                None => Err(format!("{}: not an unsigned integer", shown())),
            },
            _ => match parse::<f64>(text) {
                Some(v) => Ok(Some(v).filter(|v| !v.is_nan())),
                None => Err(format!("{}: not a number", shown())),
            },
        }
    }

    /// Reads a text. Some agents put numbers in quotes.
    fn quoted(&mut self, name: &[u8]) -> Result<Option<f64>, String> {
        let mut at = 1;
        loop {
            match self.rest.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return Err(format!("field {:?}: missing quote", String::from_utf8_lossy(name))),
            }
        }
        let text = &self.rest[1..at];
        self.number += count_lines(text);
        self.rest = &self.rest[at + 1..];
        if !self.rest.first().is_none_or(|b| b", \t\r\n".contains(b)) {
            return Err(format!("field {:?}: text behind the closing quote", String::from_utf8_lossy(name)));
        }
        let is_number = text.first().is_some_and(|b| b.is_ascii_digit() || b"+-.".contains(b));
        Ok(if is_number { parse::<f64>(text).filter(|v| !v.is_nan()) } else { None })
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Precision {
    /// Unix milliseconds of a timestamp in this precision.
    fn millis(self, text: &[u8]) -> Result<i64, String> {
        let t = parse::<i64>(text)
            .ok_or_else(|| format!("invalid timestamp {:?}", String::from_utf8_lossy(text)))?;
        let times = |n: i64| t.checked_mul(n).ok_or_else(|| format!("timestamp {t} is too large"));
        match self {
            Precision::Hours => times(3_600_000),
            Precision::Minutes => times(60_000),
            Precision::Seconds => times(1000),
            Precision::Millis => Ok(t),
            Precision::Micros => Ok(t.div_euclid(1000)),
            Precision::Nanos => Ok(t.div_euclid(1_000_000)),
            // By its size: what would lie beyond the year 5138 is in the next finer unit.
            Precision::Unknown => match t.unsigned_abs() {
                0..100_000_000_000 => Ok(t * 1000),
                100_000_000_000..100_000_000_000_000 => Ok(t),
                100_000_000_000_000..100_000_000_000_000_000 => Ok(t.div_euclid(1000)),
                _ => Ok(t.div_euclid(1_000_000)),
            },
        }
    }
}

/// Name and value.
pub(super) type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Splits the head of a line at its commas: the measurement, and tags with a value.
pub(super) fn head(head: &[u8]) -> Result<(Cow<'_, str>, Vec<Tag<'_>>), String> {
    let mut parts = Lines::new(head, Precision::Unknown);
    let measurement = text(parts.take_until(b","))?;
    let mut tags = Vec::new();
    while !parts.rest.is_empty() {
        parts.rest = &parts.rest[1..];
        let name = parts.take_until(b"=,");
        if parts.rest.first() != Some(&b'=') {
            return Err(format!("missing value of tag {:?}", String::from_utf8_lossy(name)));
        }
        parts.rest = &parts.rest[1..];
        let value = parts.take_until(b",");
        if name.is_empty() {
            return Err("tag without a name".to_owned());
        }
        if !value.is_empty() {
            tags.push((text(name)?, text(value)?));
        }
    }
    Ok((measurement, tags))
}

/// Takes the backslashes off.
pub(super) fn text(raw: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = std::str::from_utf8(raw).map_err(|_| "not valid UTF-8".to_owned())?;
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|c| ",= ".contains(*c))).flatten();
        out.push(escaped.unwrap_or(c));
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Read = (usize, Result<(String, Vec<(String, f64)>, Option<i64>), String>);

    fn read(body: &[u8]) -> Vec<Read> {
        let (mut lines, mut line) = (Lines::new(body, Precision::Unknown), Line::default());
        let mut out = Vec::new();
        while let Some(result) = lines.next(&mut line) {
            let lossy = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            let fields = line.fields.iter().map(|(name, v)| (lossy(name), *v)).collect();
            out.push((line.number, result.map(|()| (lossy(line.head), fields, line.time))));
        }
        out
    }

    fn fields(body: &str) -> Vec<(String, f64)> {
        read(body.as_bytes()).remove(0).1.unwrap().1
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let all =
            fields(r#"m a=1.5,b=-2i,c=18446744073709551615u,d=t,e=False,f="text",g="12",h=1e3,i=nan,j=inf"#);
        let expected = [
            ("a", 1.5),
            ("b", -2.0),
            ("c", u64::MAX as f64),
            ("d", 1.0),
            ("e", 0.0),
            ("g", 12.0),
            ("h", 1000.0),
            ("j", f64::INFINITY),
        ];
        assert_eq!(all, expected.map(|(name, v)| (name.to_owned(), v)));
    }

    #[test]
    fn quotes_and_backslashes_protect() {
        assert_eq!(fields(r#"m s="a, \"b\" c=2",t\ \,\=x=1"#), [(r"t\ \,\=x".to_owned(), 1.0)]);
        assert_eq!(text(br"t\ \,\=x\y\\").unwrap(), r"t ,=x\y\\");
        let (measurement, tags) = head(br"m\ x\,y,t\=g=a\ b,empty=,z=1").unwrap();
        assert_eq!(measurement, "m x,y");
        assert_eq!(tags, [("t=g".into(), "a b".into()), ("z".into(), "1".into())]);
        for wrong in ["m,x", "m,=1", "m,a=1,"] {
            assert!(head(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lines_are_counted_and_wrong_ones_passed_over() {
        let body = b"# comment\n\nok v=1 1700000000\nno fields\nm v=\r\nm s=\"two\nlines\",v=2\n m v=1 5 6\n\nend v=3";
        let all = read(body);
        let numbers: Vec<_> = all.iter().map(|(n, r)| (*n, r.is_ok())).collect();
        assert_eq!(numbers, [(3, true), (4, false), (5, false), (6, true), (8, false), (10, true)]);
        let reasons: Vec<_> = all.iter().filter_map(|(_, r)| r.as_ref().err()).collect();
        assert_eq!(
            reasons,
            [
                r#"missing value of field "fields""#,
                r#"missing value of field "v""#,
                "more than a timestamp after the fields"
            ]
        );
        assert_eq!(
            read(b"m s=\"a\nb v=1\n").iter().map(|(n, r)| (*n, r.is_ok())).collect::<Vec<_>>(),
            [(1, false), (2, true)]
        );
    }

    #[test]
    fn times_have_a_precision() {
        for text in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
            assert_eq!(Precision::Unknown.millis(text.as_bytes()), Ok(1_700_000_000_000), "{text}");
        }
        assert_eq!(Precision::Hours.millis(b"2"), Ok(7_200_000));
        assert_eq!(Precision::Nanos.millis(b"-1"), Ok(-1));
        assert!(Precision::Hours.millis(b"9223372036854775807").is_err());
        assert!(Precision::Millis.millis(b"1.5").is_err());
    }

    proptest! {
        #[test]
        fn any_body_is_read_to_its_end(body in proptest::collection::vec(prop_oneof![
            any::<u8>(), prop::sample::select(&b"m,=\\ \"\n#1itv"[..])], 0..80)) {
            let lines = count_lines(&body) + 1;
            let all = read(&body);
            prop_assert!(all.len() <= lines);
            for ((number, result), next) in all.iter().zip(all.iter().skip(1).map(|(n, _)| *n).chain([lines + 1])) {
                prop_assert!(*number < next);
                if result.is_ok() {
                    let _ = head(&body);
                }
            }
        }

        #[test]
        fn what_is_escaped_comes_back(parts in proptest::collection::vec("[a-z,= ]{1,8}", 3), v: i32) {
            let escaped: Vec<String> = parts.iter().map(|p| {
                p.chars().flat_map(|c| if ",= ".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
            }).collect();
            let body = format!("{},{}={} {}={v}i 5", escaped[0], escaped[1], escaped[2], escaped[1]);
            let (raw, fields, time) = read(body.as_bytes()).remove(0).1.unwrap();
            let (measurement, tags) = head(raw.as_bytes()).unwrap();
            prop_assert_eq!(measurement, parts[0].as_str());
            prop_assert_eq!(tags, vec![(Cow::Borrowed(parts[1].as_str()), Cow::Borrowed(parts[2].as_str()))]);
            prop_assert_eq!(text(fields[0].0.as_bytes()).unwrap(), parts[1].as_str());
            prop_assert_eq!((fields[0].1, time), (f64::from(v), Some(5000)));
        }
    }
}
