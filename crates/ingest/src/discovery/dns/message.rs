//! Questions and answers of DNS (RFC 1035), as far as discovery needs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::DnsRecordKind;

/// What an answer holds besides aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// SRV; the name ends in a dot.
    Service { target: String, port: u16 },
    /// MX; the name ends in a dot.
    Mail(String),
    /// NS; the name ends in a dot.
    NameServer(String),
}

/// An answer whose id and question are those of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// There is more than fits into the packet.
    pub truncated: bool,
    /// How it went; see [`OK`] and [`NO_SUCH_NAME`].
    pub code: u8,
    pub records: Vec<Record>,
}

/// The code of success.
pub(crate) const OK: u8 = 0;

/// The code for a name that does not exist.
pub(crate) const NO_SUCH_NAME: u8 = 3;

/// The largest answer that we take by UDP (RFC 6891).
pub(crate) const MAX_UDP: usize = 4096;

const CLASS_INTERNET: u16 = 1;
const HEADER: usize = 12;

/// Names are at most this long on the wire.
const MAX_NAME: usize = 255;

fn code(kind: DnsRecordKind) -> u16 {
    match kind {
        DnsRecordKind::A => 1,
        DnsRecordKind::Ns => 2,
        DnsRecordKind::Mx => 15,
        DnsRecordKind::Aaaa => 28,
        DnsRecordKind::Srv => 33,
    }
}

/// A question for `name`, which ends in a dot. With `edns` it says that large packets are welcome. A name that cannot
/// be written has no question.
pub(crate) fn query(id: u16, name: &str, kind: DnsRecordKind, edns: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(HEADER + name.len() + 20);
    out.extend(id.to_be_bytes());
    // Recursion desired; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    let start = out.len();
    for label in name.strip_suffix('.')?.split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    if out.len() - start > MAX_NAME {
        return None;
    }
    out.extend(code(kind).to_be_bytes());
    out.extend(CLASS_INTERNET.to_be_bytes());
    if edns {
        out.extend([0, 0, 41]);
        out.extend((MAX_UDP as u16).to_be_bytes());
        out.extend([0; 6]);
    }
    Some(out)
}

struct Reader<'a> {
    message: &'a [u8],
    pos: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.pos..self.pos.checked_add(n)?)?;
        self.pos += n;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name as text, with a dot at its end. References only lead backwards, so that it ends.
    fn name(&mut self) -> Option<String> {
        let mut out = String::new();
        let mut length = 0;
        let mut lowest = self.pos;
        let mut at = self.pos;
        let mut jumped = false;
        loop {
            let n = *self.message.get(at)?;
            match n >> 6 {
                0 if n == 0 => {
                    if !jumped {
                        self.pos = at + 1;
                    }
                    return Some(if out.is_empty() { ".".to_owned() } else { out });
                }
                0 => {
                    length += usize::from(n) + 1;
                    if length > MAX_NAME {
                        return None;
                    }
                    escape(self.message.get(at + 1..at + 1 + usize::from(n))?, &mut out);
                    at += usize::from(n) + 1;
                }
                3 => {
                    let target = usize::from(n & 0x3f) << 8 | usize::from(*self.message.get(at + 1)?);
                    if !jumped {
                        self.pos = at + 2;
                        jumped = true;
                    }
                    if target >= lowest {
                        return None;
                    }
                    lowest = target;
                    at = target;
                }
                _ => return None,
            }
        }
    }
}

/// Appends one label and a dot, in the notation of zone files.
fn escape(label: &[u8], out: &mut String) {
    for &b in label {
        match b {
            b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => out.extend(['\\', b as char]),
            b'!'..=b'~' => out.push(b as char),
            _ => out.push_str(&format!("\\{b:03}")),
        }
    }
    out.push('.');
}

/// Reads the answer to `query`. What is no answer to it, or cannot be read, is none.
pub(crate) fn parse(message: &[u8], query: &[u8], kind: DnsRecordKind) -> Option<Answer> {
    let mut r = Reader { message, pos: 0 };
    if r.take(2)? != query.get(..2)? {
        return None;
    }
    let flags = r.u16()?;
    let (questions, answers) = (r.u16()?, r.u16()?);
    r.take(4)?;
    let is_response = flags & 0x8000 != 0;
    if !is_response || questions > 1 {
        return None;
    }
    if questions == 1 {
        let mut asked = Reader { message: query, pos: HEADER };
        let same_name = r.name()?.eq_ignore_ascii_case(&asked.name()?);
        if !same_name || r.take(4)? != asked.take(4)? {
            return None;
        }
    }
    let mut out =
        Answer { truncated: flags & 0x0200 != 0, code: (flags & 0x000f) as u8, records: Vec::new() };
    if out.truncated {
        return Some(out);
    }
    for _ in 0..answers {
        r.name()?;
        let (found, class) = (r.u16()?, r.u16()?);
        r.take(4)?;
        let length = usize::from(r.u16()?);
        let end = r.pos.checked_add(length).filter(|e| *e <= message.len())?;
        // Others are aliases on the way to what was asked for.
        if found == code(kind) && class == CLASS_INTERNET {
            out.records.push(record(&mut r, kind)?);
            if r.pos != end {
                return None;
            }
        }
        r.pos = end;
    }
    Some(out)
}

fn record(r: &mut Reader<'_>, kind: DnsRecordKind) -> Option<Record> {
    Some(match kind {
        DnsRecordKind::A => Record::Address(Ipv4Addr::from(<[u8; 4]>::try_from(r.take(4)?).ok()?).into()),
        DnsRecordKind::Aaaa => {
            Record::Address(Ipv6Addr::from(<[u8; 16]>::try_from(r.take(16)?).ok()?).into())
        }
        DnsRecordKind::Ns => Record::NameServer(r.name()?),
        DnsRecordKind::Mx => {
            r.take(2)?;
            Record::Mail(r.name()?)
        }
        DnsRecordKind::Srv => {
            r.take(4)?;
            let port = r.u16()?;
            Record::Service { target: r.name()?, port }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer_to(query: &[u8], records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut m = query.to_vec();
        m[2] |= 0x80;
        m[7] = records.len() as u8;
        m[11] = 0;
        for (kind, data) in records {
            m.extend([0xc0, HEADER as u8]);
            m.extend(kind.to_be_bytes());
            m.extend([0, 1, 0, 0, 0, 9]);
            m.extend((data.len() as u16).to_be_bytes());
            m.extend(data);
        }
        m
    }

    #[test]
    fn records_of_the_kind_asked_for_are_read_and_aliases_passed_over() {
        let q = query(7, "_x._tcp.h.", DnsRecordKind::Srv, false).unwrap();
        // Priority, weight, port 80, then `a` and a reference to `h` in the question.
        let srv = vec![0, 1, 0, 2, 0, 80, 1, b'a', 0xc0, 20];
        let m = answer_to(&q, &[(5, vec![0]), (33, srv)]);
        let answer = parse(&m, &q, DnsRecordKind::Srv).unwrap();
        assert_eq!(answer.records, [Record::Service { target: "a.h.".to_owned(), port: 80 }]);
        assert_eq!((answer.code, answer.truncated), (OK, false));
        let q = query(7, "h.", DnsRecordKind::Aaaa, true).unwrap();
        let m = answer_to(&q[..q.len() - 11], &[(28, vec![0; 16])]);
        let answer = parse(&m, &q, DnsRecordKind::Aaaa).unwrap();
        assert_eq!(answer.records, [Record::Address("::".parse().unwrap())]);
    }

    #[test]
    fn answers_to_something_else_are_none() {
        let q = query(7, "h.", DnsRecordKind::A, false).unwrap();
        let good = answer_to(&q, &[(1, vec![1, 2, 3, 4])]);
        assert!(parse(&good, &q, DnsRecordKind::A).is_some());
        let mut other_id = good.clone();
        other_id[1] = 8;
        let other_name = answer_to(&query(7, "i.", DnsRecordKind::A, false).unwrap(), &[]);
        let short_address = answer_to(&q, &[(1, vec![1, 2, 3])]);
        let long_address = answer_to(&q, &[(1, vec![1, 2, 3, 4, 5])]);
        for bad in [&other_id, &other_name, &short_address, &long_address, &q] {
            assert_eq!(parse(bad, &q, DnsRecordKind::A), None);
        }
    }

    #[test]
    fn a_name_that_refers_to_itself_ends() {
        let q = query(7, "h.", DnsRecordKind::Ns, false).unwrap();
        let mut m = answer_to(&q, &[(2, vec![0xc0, 0])]);
        let at = m.len() - 2;
        m[at + 1] = at as u8;
        assert_eq!(parse(&m, &q, DnsRecordKind::Ns), None);
    }

    #[test]
    fn odd_bytes_in_names_are_escaped_as_in_zone_files() {
        let mut out = String::new();
        escape(b"a.b c\xff\\", &mut out);
        assert_eq!(out, "a\\.b\\ c\\255\\\\.");
        for name in ["", "h", "a..b.", &format!("{}.", "x".repeat(64)), &"abcdefg.".repeat(40)] {
            assert_eq!(query(1, name, DnsRecordKind::A, true), None, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..60), count in 0u8..4) {
            for kind in [DnsRecordKind::Srv, DnsRecordKind::A, DnsRecordKind::Mx, DnsRecordKind::Ns] {
                let q = query(7, "h.", kind, false).unwrap();
                let mut m = answer_to(&q, &[]);
                m[7] = count;
                m.extend(&tail);
                let _ = parse(&m, &q, kind);
                let _ = parse(&tail, &q, kind);
            }
        }
    }
}
