//! Collecting many texts that begin alike, sorted and each once.

/// Texts in one allocation: what shards and blocks say may repeat itself, and only what is left becomes a `String` each.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.text[start..*end];
            start = *end;
            text
        })
    }

    /// The texts sorted, without repetitions.
    ///
    /// Values of a label mostly share a prefix (`svc-…`) and differ soon after it: the eight bytes behind the common prefix,
    /// as a number, decide nearly every comparison without following a pointer.
    pub(crate) fn into_sorted(self) -> Vec<String> {
        let Some(first) = self.iter().next() else { return Vec::new() };
        let common =
            self.iter().fold(first.len(), |n, text| common_prefix(&first.as_bytes()[..n], text.as_bytes()));
        let mut keyed: Vec<(u64, &str)> =
            self.iter().map(|text| (key(&text.as_bytes()[common..]), text)).collect();
        // What one shard or block adds is in order already, or nearly so, which a stable sort makes use of.
        keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        keyed.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
        keyed.into_iter().map(|(_, text)| text.to_owned()).collect()
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// The first eight bytes, the first one most significant.
fn key(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let n = bytes.len().min(8);
    word[..n].copy_from_slice(&bytes[..n]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(
            texts in proptest::collection::vec("(ab|abc|abcdefghijk)?[a-c\u{0}é]{0,12}", 0..40),
        ) {
            let mut collected = Texts::default();
            for text in &texts {
                collected.push(text);
            }
            let mut want = texts;
            want.sort();
            want.dedup();
            prop_assert_eq!(collected.into_sorted(), want);
        }
    }
}
