//! Ids of traces, as people and links have them.

use reba_model::spans::TraceId;

/// Reads an id: up to 32 hex digits, padded with zeros on the left; or a UUID, whose dashes are left out. Texts of errors are
/// upstream's.
pub fn parse(text: &str) -> Result<TraceId, String> {
    let plain = if is_uuid(text) { text.replace('-', "") } else { text.to_owned() };
    if plain.is_empty() {
        return Err("please provide a traceID".to_owned());
    }
    let wrong = plain.char_indices().find(|(_, c)| !c.is_ascii_hexdigit());
    if let Some((at, c)) = wrong {
        return Err(format!(
            "trace IDs can only contain hex characters: invalid character '{}' at position {}",
            c.escape_debug(),
            at + 1
        ));
    }
    TraceId::from_hex(&plain).ok_or_else(|| "trace IDs can't be larger than 128 bits".to_owned())
}

/// Whether a text has the form 8-4-4-4-12.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 5 && groups.iter().zip([8, 4, 4, 4, 12]).all(|(group, n)| group.len() == n)
}

/// The id as answers to searches have it: without leading zeros.
pub fn trimmed(id: TraceId) -> String {
    format!("{:x}", u128::from_be_bytes(id.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_padded_and_uuids_lose_their_dashes() {
        let ok = |text: &str| parse(text).unwrap().to_string();
        assert_eq!(ok("1f"), "0000000000000000000000000000001f");
        assert_eq!(ok("123E4567-e89b-12d3-a456-426614174000"), "123e4567e89b12d3a456426614174000");
        assert_eq!(trimmed(parse("001f").unwrap()), "1f");
        assert_eq!(trimmed(TraceId::default()), "0");
        for (text, want) in [
            ("", "please provide a traceID"),
            ("12345678-1", "trace IDs can only contain hex characters: invalid character '-' at position 9"),
            ("123456789012345678901234567890123", "trace IDs can't be larger than 128 bits"),
        ] {
            assert_eq!(parse(text).unwrap_err(), want);
        }
    }
}
