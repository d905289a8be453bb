//! The same answers with columns as without.
