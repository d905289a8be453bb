//! From matchers to the streams of a part, by its pages of label values.

use reba_model::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use super::Part;
use crate::{ColumnarError, varint::Reader};

/// What evaluating a matcher costs, cheapest first.
fn cost(m: &Matcher) -> u8 {
    match (m.op, m.regex().and_then(|r| r.literals())) {
        (MatchOp::Equal | MatchOp::NotEqual, _) => 0,
        (_, Some(_)) => 1,
        (_, None) if m.regex().is_some_and(|r| !r.prefix().is_empty()) => 2,
        _ => 3,
    }
}

impl Part {
    /// The streams whose labels satisfy all matchers; `None` stands for all.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Result<Option<RoaringBitmap>, ColumnarError> {
        // Those that a stream without the label satisfies can only take away.
        let (mut takes_away, mut picks): (Vec<_>, Vec<_>) = matchers.iter().partition(|m| m.matches_empty());
        picks.sort_by_key(|m| cost(m));
        takes_away.sort_by_key(|m| cost(m));
        let mut found: Option<RoaringBitmap> = None;
        for m in picks {
            let with = self.streams_with(m, true)?;
            let narrowed = match found {
                Some(f) => f & with,
                None => with,
            };
            if narrowed.is_empty() {
                return Ok(Some(narrowed));
            }
            found = Some(narrowed);
        }
        for m in takes_away {
            let without = self.streams_with(m, false)?;
            if without.is_empty() {
                continue;
            }
            let every = || (0..self.info.streams as u32).collect();
            let rest = found.unwrap_or_else(every) - without;
            if rest.is_empty() {
                return Ok(Some(rest));
            }
            found = Some(rest);
        }
        Ok(found)
    }

    /// Streams that have the label, with a value for which the matcher says `verdict`.
    fn streams_with(&self, m: &Matcher, verdict: bool) -> Result<RoaringBitmap, ColumnarError> {
        let mut out = RoaringBitmap::new();
        let is_positive = matches!(m.op, MatchOp::Equal | MatchOp::Regex);
        if is_positive == verdict {
            // Values that are named, or begin with what is known, are looked up.
            let regex = m.regex();
            if regex.is_none() {
                self.add_value(&m.name, &m.value, &mut out)?;
                return Ok(out);
            }
            if let Some(literals) = regex.and_then(|r| r.literals()) {
                for value in literals {
                    self.add_value(&m.name, value, &mut out)?;
                }
                return Ok(out);
            }
            let prefix = regex.map_or("", |r| r.prefix());
            self.add_where(&m.name, prefix, &|v| m.matches(v) == verdict, &mut out)?;
        } else {
            self.add_where(&m.name, "", &|v| m.matches(v) == verdict, &mut out)?;
        }
        Ok(out)
    }

    fn add_value(&self, name: &str, value: &str, out: &mut RoaringBitmap) -> Result<(), ColumnarError> {
        if value.is_empty() {
            return Ok(());
        }
        self.each_value(name, value, &mut |v, streams| {
            if v == value {
                out.extend(streams);
            }
            v < value
        })
    }

    fn add_where(
        &self,
        name: &str,
        prefix: &str,
        accepts: &dyn Fn(&str) -> bool,
        out: &mut RoaringBitmap,
    ) -> Result<(), ColumnarError> {
        self.each_value(name, prefix, &mut |v, streams| {
            if !v.starts_with(prefix) {
                return v < prefix;
            }
            if accepts(v) {
                out.extend(streams);
            }
            true
        })
    }

    /// Goes through the values of `name` from the page on that may have `from`, until there are no more or `visit` says no.
    fn each_value(
        &self,
        name: &str,
        from: &str,
        visit: &mut dyn FnMut(&str, &mut dyn Iterator<Item = u32>) -> bool,
    ) -> Result<(), ColumnarError> {
        let pages = &self.directory.value_pages;
        let start = pages.partition_point(|p| (&*p.first.0, &*p.first.1) <= (name, from)).saturating_sub(1);
        for page in &pages[start..] {
            if *page.first.0 > *name {
                break;
            }
            let bytes = self.page(page.page)?;
            let mut r = Reader(&bytes);
            while !r.is_empty() {
                let entry = (|| Some((r.text()?, r.text()?, r.count()?)))();
                let Some((n, value, count)) = entry else {
                    return Err(self.damaged("a page of values contradicts itself"));
                };
                let mut stream = 0u32;
                let mut streams = (0..count).map_while(|_| {
                    stream = stream.wrapping_add(r.u32()?);
                    Some(stream)
                });
                let go_on = n < name || n == name && visit(value, &mut streams);
                streams.for_each(drop);
                if !go_on {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
