//! Users, tokens and sessions as they are kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What somebody may do in the organisation; a later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrgRole {
    /// Sees dashboards and runs queries.
    #[default]
    Viewer,
    /// Changes dashboards, folders, annotations and silences, too.
    Editor,
    /// Changes data sources, users and service accounts, too.
    Admin,
}

impl OrgRole {
    /// The name that Grafana's API knows.
    pub fn name(self) -> &'static str {
        match self {
            OrgRole::Viewer => "Viewer",
            OrgRole::Editor => "Editor",
            OrgRole::Admin => "Admin",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        [OrgRole::Viewer, OrgRole::Editor, OrgRole::Admin].into_iter().find(|r| r.name() == name)
    }
}

/// A person, or a program (a service account).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct User {
    pub id: u64,
    pub uid: String,
    pub login: String,
    pub email: String,
    pub name: String,
    pub role: OrgRole,
    /// Whether it may change everybody's passwords and rights.
    pub server_admin: bool,
    pub disabled: bool,
    /// In PHC's format; empty if there is none, as with service accounts.
    pub password: String,
    /// Whether we made the password up: then the configuration may still say another.
    pub generated: bool,
    pub is_service: bool,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub seen_ms: i64,
    pub preferences: Map<String, Value>,
    /// Uids of dashboards.
    pub stars: BTreeSet<String>,
}

/// A service account's key. What it opens with is kept as a digest only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Token {
    pub id: u64,
    /// The service account's number.
    pub owner: u64,
    pub name: String,
    pub digest: String,
    pub created_ms: i64,
    /// None: never.
    pub expires_ms: Option<i64>,
    pub used_ms: Option<i64>,
}

impl Token {
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}

/// A log-in. Its key is the digest of what the browser's cookie holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Session {
    pub user: u64,
    pub created_ms: i64,
    pub seen_ms: i64,
    pub address: String,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub id: u64,
    pub login: String,
    pub role: OrgRole,
    pub server_admin: bool,
    pub via: Via,
}

/// How it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// A cookie; the key of the session.
    Session(String),
    /// User and password with the request.
    Basic,
    /// A service account's token.
    Token,
}

impl Identity {
    pub(crate) fn of(user: &User, via: Via) -> Self {
        Identity {
            id: user.id,
            login: user.login.clone(),
            role: user.role,
            server_admin: user.server_admin,
            via,
        }
    }

    pub(crate) fn may(&self, role: OrgRole) -> bool {
        self.role >= role
    }
}
