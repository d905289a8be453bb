//! Label sets.

use std::{cmp::Ordering, fmt, hash, sync::Arc};

use xxhash_rust::xxh3::xxh3_64;

use crate::METRIC_NAME;

/// An immutable set of labels, sorted by name, names unique, no empty value.
///
/// All strings stand in one allocation, each behind its length, so that a clone is a counter, equality
/// is one comparison of memory, and a large process keeps one small object a series. A length is
/// written in 7-bit ASCII so that the whole stays valid UTF-8 and slices need no `unsafe`: one
/// byte below 127, else the byte 127 and four bytes of 7 bits, most significant first (a string may be 256 MiB long).
#[derive(Clone, PartialEq, Eq)]
pub struct Labels(Arc<str>);

const LONG: u8 = 0x7f;

fn push_str(out: &mut String, s: &str) {
    let n = s.len();
    if n < LONG as usize {
        out.push(n as u8 as char);
    } else {
        out.push(LONG as char);
        for shift in [21, 14, 7, 0] {
            out.push(((n >> shift) & 0x7f) as u8 as char);
        }
    }
    out.push_str(s);
}

/// Reads one string at `pos`; returns it with the position behind it.
#[inline]
fn read_str(data: &str, pos: usize) -> Option<(&str, usize)> {
    let bytes = data.as_bytes();
    let first = *bytes.get(pos)?;
    let (len, start) = if first < LONG {
        (first as usize, pos + 1)
    } else {
        let mut n = 0usize;
        for &b in bytes.get(pos + 1..pos + 5)? {
            n = (n << 7) | b as usize;
        }
        (n, pos + 5)
    };
    Some((data.get(start..start + len)?, start + len))
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Labels(Arc::from(""))
    }

    /// Builds a set from pairs in any order. Later pairs win over earlier ones of the same name; empty values
    /// are left out.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut b = LabelsBuilder::new();
        for (n, v) in pairs {
            b.set(n.as_ref(), v.as_ref());
        }
        b.build()
    }

    /// Builds a set from pairs that are sorted by name already, with unique names and no empty values.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::from_sorted_verbatim(pairs.into_iter().inspect(|(_, v)| {
            debug_assert!(!v.is_empty(), "labels must not be empty");
        }))
    }

    /// Like [`Labels::from_sorted`], but values may be empty: a log query can answer with such labels. No store holds them.
    pub fn from_sorted_verbatim<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::new();
        let mut last = "";
        for (n, v) in pairs {
            debug_assert!(last <= n, "labels must be sorted");
            last = n;
            push_str(&mut packed, n);
            push_str(&mut packed, v);
        }
        Labels(Arc::from(packed))
    }

    /// Pairs of name and value, in order of names.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { data: &self.0, pos: 0 }
    }

    /// The value of `name`, if the label is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (n, v) in self {
            match n.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(v),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The value of `name`, or `""` (which is what a missing label means to a matcher).
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, or `""`.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A 64-bit hash (XXH3) of the whole set; stable across processes and versions.
    pub fn hash64(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// The same set without the metric name.
    pub fn without_name(&self) -> Self {
        self.without(&[METRIC_NAME])
    }

    /// The same set without `names`.
    pub fn without<S: AsRef<str>>(&self, names: &[S]) -> Self {
        let drops = |n: &str| names.iter().any(|d| d.as_ref() == n);
        if !self.iter().any(|(n, _)| drops(n)) {
            return self.clone();
        }
        Self::from_sorted(self.iter().filter(|(n, _)| !drops(n)))
    }

    /// Only those labels whose name is in `names`.
    pub fn only<S: AsRef<str>>(&self, names: &[S]) -> Self {
        Self::from_sorted(self.iter().filter(|(n, _)| names.iter().any(|k| k.as_ref() == *n)))
    }

    /// The packed form, usable as a key: equal sets have equal text.
    pub fn as_packed(&self) -> &str {
        &self.0
    }

    /// Reads the packed form back; `None` if it is malformed, unsorted or has an empty or double label.
    pub fn from_packed(packed: &str) -> Option<Self> {
        let mut pos = 0;
        let mut last: Option<&str> = None;
        while pos < packed.len() {
            let (n, p) = read_str(packed, pos)?;
            let (v, p) = read_str(packed, p)?;
            if v.is_empty() || last.is_some_and(|l| l >= n) {
                return None;
            }
            last = Some(n);
            pos = p;
        }
        Some(Labels(Arc::from(packed)))
    }

    /// The pairs with their packed text each; the texts of all pairs, one behind the other, are the packed form.
    pub fn packed_pairs(&self) -> impl Iterator<Item = PackedPair<'_>> {
        let mut pos = 0;
        std::iter::from_fn(move || {
            let pair = PackedPair::read(&self.0, pos)?;
            pos += pair.packed.len();
            Some(pair)
        })
    }

    /// Builds a set from packed pairs (see [`Labels::packed_pairs`]), names rising. `scratch` is reused memory.
    pub fn from_packed_pairs<'a>(pairs: impl IntoIterator<Item = &'a str>, scratch: &mut String) -> Self {
        scratch.clear();
        scratch.extend(pairs);
        Labels(Arc::from(scratch.as_str()))
    }

    /// Bytes of memory that the set occupies (shared by its clones).
    pub fn memory_bytes(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }
}

/// One pair of name and value with its packed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedPair<'a> {
    /// Name and value, each behind its length.
    pub packed: &'a str,
    /// The name.
    pub name: &'a str,
    /// The value.
    pub value: &'a str,
}

impl<'a> PackedPair<'a> {
    /// Reads the pair whose packed text starts at `pos`; `None` if there is none or it is malformed.
    pub fn read(packed: &'a str, pos: usize) -> Option<Self> {
        let (name, p) = read_str(packed, pos)?;
        let (value, p) = read_str(packed, p)?;
        Some(PackedPair { packed: packed.get(pos..p)?, name, value })
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl hash::Hash for Labels {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash64());
    }
}

/// Sets are ordered by their pairs, name before value, a prefix before the longer set; as upstream does it.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `{a="1", b="2"}`, the way upstream prints a label set (the name is a label like any other here; a name
/// that is not of the legacy form is quoted).
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (n, v)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(n) {
                f.write_str(n)?;
            } else {
                f.write_str(&crate::float::go_quote(n))?;
            }
            write!(f, "={}", crate::float::go_quote(v))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterator over the pairs of a [`Labels`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    data: &'a str,
    pos: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (n, p) = read_str(self.data, self.pos)?;
        let (v, p) = read_str(self.data, p)?;
        self.pos = p;
        Some((n, v))
    }
}

/// Most labels that anything from outside may give one series. Nobody needs a tenth of it, and label sets are kept
/// sorted by insertion, which takes the square of their number in time.
pub const MAX_SERIES_LABELS: usize = 1024;

/// Collects labels in any order; [`LabelsBuilder::build`] packs them.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Sorted by name, names unique.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(i) if value.is_empty() => {
                self.pairs.remove(i);
            }
            Ok(i) => value.clone_into(&mut self.pairs[i].1),
            Err(_) if value.is_empty() => {}
            Err(i) => self.pairs.insert(i, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// The value of `name`, or `""`.
    pub fn value(&self, name: &str) -> &str {
        self.pairs
            .binary_search_by(|(n, _)| n.as_str().cmp(name))
            .ok()
            .map_or("", |i| self.pairs[i].1.as_str())
    }

    /// Pairs in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Keeps only the labels for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Removes every label, keeping the memory.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Packs the labels.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(self.iter())
    }
}

/// Whether `s` matches `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(s: &str) -> bool {
    is_legacy_metric_name(s) && !s.contains(':')
}

/// Whether `s` matches `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(s: &str) -> bool {
    let b = s.as_bytes();
    b.first().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, b'_' | b':'))
        && b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_later_pair_wins_and_an_empty_value_removes() {
        let l = Labels::from_pairs([("b", "2"), ("a", "1"), ("b", "3"), ("c", "")]);
        assert_eq!(l.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(l.get("c"), None);
    }

    #[test]
    fn sets_are_ordered_by_pairs_and_not_by_packed_bytes() {
        let long = "x".repeat(200);
        let a = Labels::from_pairs([("a", long.as_str())]);
        let b = Labels::from_pairs([("a", "y")]);
        assert!(a < b);
    }

    proptest! {
        #[test]
        fn packing_round_trips(pairs in proptest::collection::btree_map(".{0,200}", ".{1,300}", 0..8)) {
            let l = Labels::from_pairs(&pairs);
            prop_assert_eq!(l.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>(),
                pairs.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(Labels::from_packed(l.as_packed()), Some(l.clone()));
            for (n, v) in &pairs {
                prop_assert_eq!(l.get(n), Some(v.as_str()));
            }
            let packed = l.packed_pairs().map(|p| p.packed);
            prop_assert_eq!(Labels::from_packed_pairs(packed, &mut String::new()), l.clone());
        }

        #[test]
        fn malformed_packed_text_never_panics(s in ".{0,64}") {
            if let Some(l) = Labels::from_packed(&s) {
                prop_assert_eq!(l.as_packed(), s.as_str());
            }
        }
    }
}
