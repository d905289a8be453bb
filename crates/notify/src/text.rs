//! Texts that must fit.

/// What stands for what was cut off.
const MARK: char = '…';

/// At most `limit` characters, the mark included.
pub(crate) fn cut_chars(text: String, limit: usize) -> String {
    if text.len() <= limit || text.chars().count() <= limit {
        return text;
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    kept + &MARK.to_string()
}

/// At most `limit` bytes, the mark included.
pub(crate) fn cut_bytes(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let room = limit.saturating_sub(MARK.len_utf8());
    let end = (0..=room).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}{MARK}", &text[..end])
}

/// The beginning of an answer's body, on one line, for errors.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const LIMIT: usize = 512;
    let text = String::from_utf8_lossy(&body[..body.len().min(LIMIT * 4)]);
    let one_line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut_chars(one_line, LIMIT)
}

/// The SHA-256 of a group's key in hexadecimal: services limit the length of the keys by which they know an incident.
pub(crate) fn key_hash(group_key: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, group_key.as_bytes()).as_ref())
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for b in bytes {
        out.push(char::from(HEX[usize::from(b >> 4)]));
        out.push(char::from(HEX[usize::from(b & 15)]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters_and_the_mark_counts() {
        assert_eq!(cut_chars("äöü".to_owned(), 3), "äöü");
        assert_eq!(cut_chars("äöüß".to_owned(), 3), "äö…");
        assert_eq!(cut_bytes("äöü".to_owned(), 6), "äöü");
        assert_eq!(cut_bytes("äöüß".to_owned(), 6), "ä…");
        assert_eq!(excerpt(b" a\nb\x1b[0m "), "a b [0m");
        assert_eq!(key_hash("{}:{}"), "cc9772a1ec901d26ef71dae861793e4d08979fa5030a3f0a5f3ba549f1f2d0b6");
    }
}
