//! Names and numbers of things.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_64;

/// Longest uid, upstream's.
const MAX_UID: usize = 40;

/// A number for clients that ask for numbers. It is made from the uid, so that it is the same after every restart, whether the
/// thing is stored or read from a file.
pub(super) fn numeric_id(kind: &str, uid: &str) -> u64 {
    (xxh3_64(format!("{kind}/{uid}").as_bytes()) & 0x7fff_ffff).max(1)
}

/// The uid that Grafana gives a data source without one: dashboards that were exported from it name this.
pub(super) fn datasource_uid(name: &str) -> String {
    format!("P{}", hex(&Sha256::digest(name))[..16].to_uppercase())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The digest under which a secret of much randomness is kept: who reads the store cannot log in with what he finds.
pub(super) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Whether `uid` may name something.
pub(super) fn is_uid(uid: &str) -> bool {
    !uid.is_empty()
        && uid.len() <= MAX_UID
        && uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A uid made of what a text has of allowed characters; empty if it has none.
pub(super) fn uid_from(text: &str) -> String {
    slug(text).chars().take(MAX_UID).collect::<String>().trim_matches('-').to_owned()
}

/// The end of a dashboard's address: lower case, words joined with dashes.
pub(super) fn slug(title: &str) -> String {
    let mut out = String::with_capacity(title.len());
    for c in title.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sources_without_a_uid_get_the_one_that_grafana_gives_them() {
        for (name, uid) in [
            ("Prometheus", "PBFA97CFB590B2093"),
            ("Loki", "P8E80F9AEF21F6940"),
            ("Tempo", "P214B5B846CF3925F"),
        ] {
            assert_eq!(datasource_uid(name), uid);
        }
    }

    #[test]
    fn titles_become_addresses() {
        for (title, want) in
            [("EasyMO - System Overview", "easymo-system-overview"), ("a/b", "a-b"), ("é", "")]
        {
            assert_eq!(slug(title), want);
        }
        assert!(is_uid(&uid_from(&"x y".repeat(100))) && !is_uid("a b") && !is_uid("") && !is_uid("../x"));
    }
}
