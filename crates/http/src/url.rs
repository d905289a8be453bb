//! URLs as configuration holds them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::Secret;

/// Why a text is no URL.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("parse {text:?}: {reason}")]
pub struct UrlError {
    text: String,
    reason: &'static str,
}

/// An absolute or relative URL; a password in it prints as `xxxxx`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    uri: http::Uri,
    user: Option<(String, Option<Secret>)>,
}

impl Url {
    /// Scheme, host, port, path and query, without user and password.
    pub fn uri(&self) -> &http::Uri {
        &self.uri
    }

    /// User and password that stand before the host, decoded.
    pub fn user(&self) -> Option<(&str, Option<&Secret>)> {
        self.user.as_ref().map(|(u, p)| (u.as_str(), p.as_ref()))
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let fail = |reason| UrlError { text: redact(text), reason };
        if text.chars().any(char::is_control) {
            return Err(fail("net/url: invalid control character in URL"));
        }
        let (user, plain) = split_user(text);
        // Nothing is a URL too: `proxy_url: ""` means none.
        let plain = if plain.is_empty() { "/" } else { &plain };
        let uri = plain.parse::<http::Uri>().map_err(|_| fail("invalid URL"))?;
        Ok(Url { uri, user })
    }
}

/// Where the user information lies in `scheme://user:password@host`.
fn user_span(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://")? + 3;
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |i| start + i);
    text[start..end].rfind('@').map(|at| (start, start + at))
}

fn split_user(text: &str) -> (Option<(String, Option<Secret>)>, String) {
    let Some((start, end)) = user_span(text) else { return (None, text.to_owned()) };
    let info = &text[start..end];
    let (name, password) = match info.split_once(':') {
        Some((n, p)) => (n, Some(Secret::new(percent_decode(p)))),
        None => (info, None),
    };
    (Some((percent_decode(name), password)), format!("{}{}", &text[..start], &text[end + 1..]))
}

fn redact(text: &str) -> String {
    match user_span(text) {
        Some((start, end)) => format!("{}xxxxx{}", &text[..start], &text[end..]),
        None => text.to_owned(),
    }
}

/// Replaces `%41` by its byte; what is no valid UTF-8 afterwards becomes the replacement character.
pub(crate) fn percent_decode(s: &str) -> String {
    let bytes = s.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| s.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(b) => {
                out.push(b);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.uri.to_string();
        let plain = plain.strip_suffix('/').filter(|_| self.uri.path() == "/" && self.uri.query().is_none());
        let text = plain.map_or_else(|| self.uri.to_string(), str::to_owned);
        match (&self.user, text.split_once("://")) {
            (Some((name, Some(_))), Some((scheme, rest))) => write!(f, "{scheme}://{name}:xxxxx@{rest}"),
            (Some((name, None)), Some((scheme, rest))) => write!(f, "{scheme}://{name}@{rest}"),
            _ => f.write_str(&text),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_and_password_are_taken_out_and_never_shown() {
        let u: Url = "http://me:p%40ss@proxy:8080".parse().unwrap();
        assert_eq!(u.uri().host(), Some("proxy"));
        let (name, password) = u.user().unwrap();
        assert_eq!((name, password.unwrap().expose()), ("me", "p@ss"));
        assert_eq!(u.to_string(), "http://me:xxxxx@proxy:8080");
        assert_eq!("".parse::<Url>().unwrap().uri().host(), None);
        assert!(!"http://me:p%40ss@pro xy".parse::<Url>().unwrap_err().to_string().contains("ss@"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_text_never_panics(s in "(http://)?[a-z:@/%é0-9 ]{0,20}") {
            if let Ok(u) = s.parse::<Url>() {
                let _ = u.to_string();
            }
        }
    }
}
