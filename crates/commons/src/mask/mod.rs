//! Masks what names a person or opens a door: telephone numbers, e-mail addresses, national ids, cards, secrets.
//!
//! The rules are those of the TypeScript library; `packages/commons/tests/mask-cases.json` holds both to them. What is
//! masked cannot be masked again, so that a line may pass here twice.

mod numbers;
mod text;

use std::borrow::Cow;

pub use text::mask_text;

/// What stands for a secret.
pub const REDACTED: &str = "[redacted]";

/// Ends of the names of fields that hold secrets; names are compared without case, `_`, `-` and spaces.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authorization",
    "cookie",
    "privatekey",
    "credential",
    "credentials",
];
const SHORT_SECRETS: &[&str] = &["pin", "pincode", "otp", "cvv", "cvc", "cvv2"];
const PHONES: &[&str] =
    &["phone", "phonenumber", "msisdn", "mobile", "mobilenumber", "telephone", "whatsappnumber", "waid"];
const EMAILS: &[&str] = &["mail", "mailaddress"];
const IDS: &[&str] = &[
    "nationalid",
    "idnumber",
    "idcard",
    "passport",
    "passportnumber",
    "passportno",
    "drivinglicence",
    "drivinglicense",
    "taxid",
];
const SHORT_IDS: &[&str] = &["nid", "tin"];
const CARDS: &[&str] = &["cardnumber", "cardno", "creditcard"];
const SHORT_CARDS: &[&str] = &["pan"];

/// What a field holds, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Secret,
    Phone,
    Email,
    Id,
    Card,
}

fn holds(field: &str) -> Option<Holds> {
    let plain: String = field
        .chars()
        .filter(|c| !matches!(c, '_' | '-') && !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let ends = |names: &[&str]| names.iter().any(|name| plain.ends_with(name));
    let is = |names: &[&str]| names.contains(&plain.as_str());
    match () {
        () if ends(SECRETS) || is(SHORT_SECRETS) => Some(Holds::Secret),
        () if ends(PHONES) => Some(Holds::Phone),
        () if ends(EMAILS) => Some(Holds::Email),
        () if ends(IDS) || is(SHORT_IDS) => Some(Holds::Id),
        () if ends(CARDS) || is(SHORT_CARDS) => Some(Holds::Card),
        () => None,
    }
}

/// Whether the name of a field says that it holds something to be masked, whatever its value looks like.
pub(crate) fn is_private(field: &str) -> bool {
    holds(field).is_some()
}

/// The value of a field, masked by the field's name, else by what the value looks like.
pub fn mask_field<'a>(field: &str, value: &'a str) -> Cow<'a, str> {
    match holds(field) {
        Some(Holds::Secret) => Cow::Borrowed(REDACTED),
        Some(Holds::Phone) => Cow::Owned(mask_phone(value)),
        Some(Holds::Email) if value.contains("***@") || value == "***" => Cow::Borrowed(value),
        Some(Holds::Email) => Cow::Owned(mask_email(value)),
        Some(Holds::Id) => Cow::Owned(mask_id(value)),
        Some(Holds::Card) => Cow::Owned(mask_card(value)),
        None => mask_text(value),
    }
}

/// Whether a whole number that stands in a field is a telephone: numbers are amounts and times nearly always, so only
/// Rwanda's mobile numbers in international form are taken for one.
pub(crate) fn is_phone(number: u64) -> bool {
    matches!(number / 10_000_000, 25072 | 25073 | 25078 | 25079)
}

/// `+250788123456` becomes `+2507******56`.
pub fn mask_phone(phone: &str) -> String {
    if is_masked(phone) {
        return phone.to_owned();
    }
    let trimmed = phone.trim_start();
    let number = ["%2B", "%2b", "00"].iter().find_map(|sign| trimmed.strip_prefix(sign));
    let plus = if number.is_some() || trimmed.starts_with('+') { "+" } else { "" };
    let all = digits(number.unwrap_or(trimmed));
    if all.len() < 7 {
        return "******".to_owned();
    }
    let head = if all.starts_with('0') { 2 } else { 4 };
    format!("{plus}{}******{}", &all[..head], &all[all.len() - 2..])
}

/// `jeanne@example.rw` becomes `j***@example.rw`.
pub fn mask_email(email: &str) -> String {
    let Some(at) = email.rfind('@') else { return "***".to_owned() };
    let first = email[..at].chars().next().filter(|first| *first != '*');
    let first = first.map_or_else(String::new, String::from);
    format!("{first}***{}", &email[at..])
}

/// `4111 1111 1111 1111` becomes `****1111`.
pub fn mask_card(card: &str) -> String {
    if is_masked(card) {
        return card.to_owned();
    }
    let all = digits(card);
    format!("****{}", &all[all.len().saturating_sub(4)..])
}

/// `1199280012345678` becomes `1***********78`.
pub fn mask_id(id: &str) -> String {
    if is_masked(id) {
        return id.to_owned();
    }
    let all: Vec<char> = id.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    match all.as_slice() {
        [first, .., before, last] if all.len() >= 6 => format!("{first}***********{before}{last}"),
        _ => "****".to_owned(),
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// A text that one of the functions above made: up to four signs, four to eleven stars, up to four signs.
fn is_masked(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let head = text.trim_start_matches(is_word);
    let tail = head.trim_start_matches('*');
    let stars = head.len() - tail.len();
    text.len() - head.len() <= 4 && (4..=11).contains(&stars) && tail.len() <= 4 && tail.chars().all(is_word)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn cases() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packages/commons/tests/mask-cases.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn texts_are_masked_as_the_typescript_library_masks_them() {
        let cases = cases();
        let texts = cases["texts"].as_array().unwrap();
        assert!(texts.len() > 30);
        for case in texts {
            let [text, masked] = [0, 1].map(|at| case[at].as_str().unwrap());
            assert_eq!(mask_text(text), masked, "{text}");
            assert_eq!(mask_text(masked), masked, "masked twice: {text}");
        }
    }

    #[test]
    fn fields_are_masked_as_the_typescript_library_masks_them() {
        let cases = cases();
        let fields = cases["fields"].as_array().unwrap();
        assert!(fields.len() > 20);
        for case in fields {
            let [field, value, masked] = [0, 1, 2].map(|at| case[at].as_str().unwrap());
            assert_eq!(mask_field(field, value), masked, "{field}: {value}");
            assert_eq!(mask_field(field, masked), masked, "masked twice: {field}: {value}");
        }
    }

    /// Digits as people write them, in groups or not.
    fn grouped(digits: &'static str) -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just(""), Just(" "), Just("-")], digits.len()).prop_map(
            move |gaps| {
                let mut written = String::new();
                for (digit, gap) in digits.chars().zip(gaps) {
                    written.push_str(if written.is_empty() { "" } else { gap });
                    written.push(digit);
                }
                written
            },
        )
    }

    fn digits_of(text: &str) -> usize {
        text.chars().filter(char::is_ascii_digit).count()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_telephone_number_survives_however_it_is_written(
            number in grouped("250788123456"),
            sign in prop_oneof![Just("+"), Just("00"), Just("%2B")],
            around in prop_oneof![Just(("", "")), Just(("from ", " now")), Just(("phone=", ",")), Just(("{\"to\":\"", "\"}"))],
        ) {
            let masked = mask_text(&format!("{}{sign}{number}{}", around.0, around.1)).into_owned();
            prop_assert!(digits_of(&masked) <= 7 && masked.contains("******"), "{}", masked);
            prop_assert!(masked.starts_with(around.0) && masked.ends_with(around.1), "{}", masked);
        }

        #[test]
        fn no_card_survives_however_it_is_grouped(number in grouped("4111111111111111")) {
            let text = format!("paid with {number} today");
            prop_assert_eq!(mask_text(&text), "paid with ****1111 today");
        }

        #[test]
        fn masking_twice_is_masking_once(text in "[a-z0-9@+. :/*%-]{0,60}|\\PC{0,40}|[0-9 +-]{0,40}") {
            let once = mask_text(&text).into_owned();
            prop_assert_eq!(mask_text(&once).into_owned(), once);
        }

        #[test]
        fn ids_of_traces_are_never_taken_for_telephones(id in "[0-9]{4}[a-f][0-9a-f]{27}") {
            let text = format!("trace_id={id}");
            prop_assert_eq!(mask_text(&text).into_owned(), text);
        }

        #[test]
        fn no_field_makes_the_masking_panic(field in "\\PC{0,20}|phone|e_mail|nid|pan", value in "\\PC{0,40}") {
            mask_field(&field, &value);
        }
    }

    #[test]
    fn no_text_takes_long_or_grows() {
        let evil = [
            "a".repeat(100_000),
            "a@".repeat(50_000),
            "+1 ".repeat(40_000),
            "4-".repeat(60_000),
            "9".repeat(1_000_000),
        ];
        let started = std::time::Instant::now();
        for text in &evil {
            assert!(mask_text(text).len() < 17_000);
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn numbers_are_telephones_only_where_they_can_be_nothing_else() {
        assert!(is_phone(250_788_123_456));
        for plain in [4_111_111_111_111_111, 788_123_456_789, 1_700_000_000_000, 250_000_000_000, 7] {
            assert!(!is_phone(plain), "{plain}");
        }
    }
}
