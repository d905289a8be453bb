//! How alerts, groups and their order are named, byte by byte as upstream does it: the notification log, PagerDuty's and Opsgenie's
//! keys live on it.

use std::cmp::Ordering;

use reba_model::{Labels, float::go_quote};
use xxhash_rust::xxh64::Xxh64;

/// Between names and values: no byte of valid UTF-8.
const SEPARATOR: u8 = 0xff;

/// The fingerprint of a label set: FNV-1a of 64 bits over `name 0xFF value 0xFF`, sorted by name. Printed as 16 hex digits.
pub fn fingerprint(labels: &Labels) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = OFFSET;
    let mut take = |bytes: &[u8]| {
        for b in bytes {
            hash = (hash ^ u64::from(*b)).wrapping_mul(PRIME);
        }
    };
    for (name, value) in labels {
        take(name.as_bytes());
        take(&[SEPARATOR]);
        take(value.as_bytes());
        take(&[SEPARATOR]);
    }
    hash
}

/// The hash of an alert in the notification log: XXH64 over the same bytes.
pub(crate) fn log_hash(labels: &Labels) -> u64 {
    let mut hash = Xxh64::new(0);
    for (name, value) in labels {
        hash.update(name.as_bytes());
        hash.update(&[SEPARATOR]);
        hash.update(value.as_bytes());
        hash.update(&[SEPARATOR]);
    }
    hash.digest()
}

/// The fingerprint as APIs show it.
pub fn fingerprint_text(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// The labels of a group as they stand in its key: `{a="1", b="2"}`, sorted as text, names never quoted.
pub(crate) fn group_labels_text(labels: &Labels) -> String {
    let mut pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={}", go_quote(v))).collect();
    pairs.sort_unstable();
    format!("{{{}}}", pairs.join(", "))
}

/// The order of label sets in APIs: fewer labels first, then by the first name, in order, where they differ.
pub fn compare_labels(a: &Labels, b: &Labels) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| {
        for ((an, av), (bn, bv)) in a.iter().zip(b.iter()) {
            // The set that lacks the smaller name comes first.
            let order = bn.cmp(an).then_with(|| av.cmp(bv));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    })
}

/// The order of alerts in a notification: by job, by instance, those without behind those with, then as [`compare_labels`].
pub(crate) fn compare_alerts(a: &Labels, b: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (a.get(name), b.get(name)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    compare_labels(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn fingerprints_and_hashes_are_upstreams() {
        assert_eq!(fingerprint_text(fingerprint(&Labels::empty())), "cbf29ce484222325");
        // A vector of upstream's own tests.
        let set = labels(&[("name", "garland, briggs"), ("fear", "love is not enough")]);
        assert_eq!(fingerprint(&set), 5_799_056_148_416_392_346);
        assert_eq!(log_hash(&Labels::empty()), 0xef46_db37_51d8_e999);
    }

    #[test]
    fn a_group_key_quotes_values_and_sorts_by_text() {
        assert_eq!(group_labels_text(&Labels::empty()), "{}");
        assert_eq!(
            group_labels_text(&labels(&[("a", "x\"y"), ("a0", "1"), ("b", "é\n")])),
            r#"{a0="1", a="x\"y", b="é\n"}"#
        );
    }

    #[test]
    fn alerts_are_sorted_by_job_instance_and_labels() {
        let mut sets = [
            labels(&[("alertname", "a")]),
            labels(&[("job", "b"), ("instance", "1"), ("x", "1")]),
            labels(&[("job", "b"), ("instance", "1"), ("x", "0")]),
            labels(&[("job", "a"), ("x", "0")]),
            labels(&[("job", "b"), ("instance", "0"), ("x", "9"), ("y", "9")]),
        ];
        sets.sort_by(compare_alerts);
        let texts: Vec<String> =
            sets.iter().map(|s| s.value("job").to_owned() + s.value("instance") + s.value("x")).collect();
        assert_eq!(texts, ["a0", "b09", "b10", "b11", ""]);
    }
}
