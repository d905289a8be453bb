//! Passwords: argon2id, a few at a time.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{PasswordHash, SaltString},
};

/// Shortest password that people may choose.
pub(crate) const SHORTEST: usize = 8;

/// Longest one: hashing takes its time, and a long one more of it.
pub(crate) const LONGEST: usize = 1024;

/// What a hash costs whoever guesses.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    /// OWASP's recommendation for argon2id: 19 MiB, two passes.
    fn default() -> Self {
        Cost { memory: 19 * 1024, passes: 2 }
    }
}

/// The hash of a password in PHC's format; none if the cost makes no sense.
pub(crate) fn hash(password: &str, salt: [u8; 32], cost: Cost) -> Option<String> {
    let params = Params::new(cost.memory, cost.passes, 1, None).ok()?;
    let salt = SaltString::encode_b64(&salt[..16]).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Some(argon.hash_password(password.as_bytes(), &salt).ok()?.to_string())
}

/// Whether `password` is the one of `hash`. Takes as long for every wrong one.
pub(crate) fn is_right(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    password.len() <= LONGEST && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits_its_hash_and_salts_differ() {
        let cost = Cost { memory: 64, passes: 1 };
        let one = hash("correct horse", [1; 32], cost).unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(is_right("correct horse", &one) && !is_right("correct horsf", &one) && !is_right("", &one));
        assert_ne!(one, hash("correct horse", [2; 32], cost).unwrap());
        assert!(!is_right("x", "nonsense") && !is_right("", ""));
        let strong = hash("x", [0; 32], Cost::default()).unwrap();
        assert!(strong.contains("m=19456,t=2,p=1"));
    }
}
