//! Many texts in one allocation, such as the values of a label.

/// A list of texts. Its texts stand one behind the other: to make, to sort and to free thousands of them costs two allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text at the end.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Keeps the first `n` texts.
    pub fn truncate(&mut self, n: usize) {
        self.ends.truncate(n);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The texts in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
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
    #[must_use]
    pub fn into_sorted(self) -> Self {
        if self.iter().is_sorted_by(|a, b| a < b) {
            return self;
        }
        let Some(first) = self.iter().next() else { return self };
        let common =
            self.iter().fold(first.len(), |n, text| common_prefix(&first.as_bytes()[..n], text.as_bytes()));
        let mut keyed: Vec<(u64, &str)> =
            self.iter().map(|text| (key(&text.as_bytes()[common..]), text)).collect();
        // What one shard or block adds is in order already, or nearly so, which a stable sort makes use of.
        keyed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        keyed.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
        let bytes = keyed.iter().map(|(_, text)| text.len()).sum();
        let mut sorted = Texts { text: String::with_capacity(bytes), ends: Vec::with_capacity(keyed.len()) };
        for (_, text) in keyed {
            sorted.push(text);
        }
        sorted
    }
}

impl<S: AsRef<str>> FromIterator<S> for Texts {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut list = Texts::default();
        texts.into_iter().for_each(|text| list.push(text.as_ref()));
        list
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

    #[test]
    fn what_is_cut_off_is_gone() {
        let mut texts: Texts = ["one", "", "three"].into_iter().collect();
        texts.truncate(7);
        assert_eq!((texts.len(), texts.iter().last()), (3, Some("three")));
        texts.truncate(2);
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["one", ""]);
        texts.push("two");
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["one", "", "two"]);
        texts.truncate(0);
        assert!(texts.is_empty() && texts.iter().next().is_none());
    }

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(
            texts in proptest::collection::vec("(ab|abc|abcdefghijk)?[a-c\u{0}é]{0,12}", 0..40),
            is_sorted in any::<bool>(),
        ) {
            let mut want = texts.clone();
            want.sort();
            want.dedup();
            let collected: Texts = if is_sorted { want.iter().collect() } else { texts.iter().collect() };
            prop_assert_eq!(collected.into_sorted(), want.iter().collect::<Texts>());
        }
    }
}
