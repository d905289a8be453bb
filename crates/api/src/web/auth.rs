//! Users and their passwords.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Passwords that are remembered as right: comparing one takes a tenth of a second on purpose.
const REMEMBERED: usize = 100;

/// Comparisons at the same time; guessing must not take all cores.
const COMPARISONS: usize = 2;

/// Compared with where there is no such user, so that the time does not tell: a hash with the usual cost.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// What is known of passwords that were tried.
#[derive(Debug)]
pub(super) struct Users {
    /// User, hash and password of comparisons that were right.
    right: Mutex<BTreeSet<(String, String, String)>>,
    comparisons: Semaphore,
}

impl Default for Users {
    fn default() -> Self {
        Users { right: Mutex::default(), comparisons: Semaphore::new(COMPARISONS) }
    }
}

impl Users {
    /// Whether a request with these headers may come in.
    pub(super) async fn admits(&self, users: &BTreeMap<String, String>, headers: &HeaderMap) -> bool {
        if users.is_empty() {
            return true;
        }
        let Some((user, password)) = credentials(headers) else { return false };
        let known = users.get(&user).cloned();
        let hash = known.clone().unwrap_or_else(|| NOBODY.to_owned());
        let key = (user, hash.clone(), password.clone());
        if known.is_some() && self.right.lock().contains(&key) {
            return true;
        }
        // It is never closed.
        let Ok(_permit) = self.comparisons.acquire().await else { return false };
        let compared = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let admitted = compared.await.unwrap_or(false) && known.is_some();
        if admitted {
            let mut right = self.right.lock();
            if right.len() >= REMEMBERED {
                right.clear();
            }
            right.insert(key);
        }
        admitted
    }
}

/// User and password of `Authorization: Basic …`.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Says that a name and a password are needed.
pub(super) fn refusal() -> Response {
    let mut response = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nobody_takes_as_long_as_another() {
        let parts: bcrypt::HashParts = NOBODY.parse().unwrap();
        assert_eq!(parts.get_cost(), 10);
    }
}
