//! Users, service accounts, tokens and sessions: kept in the state store, and in memory for every request to look at.
//!
//! Everything here may wait for the disk: it is called on threads that may block.

pub(crate) mod model;
pub(crate) mod password;
pub(crate) mod throttle;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use reba_http::Secret;
use reba_storage::{StateChange, StateError, StateStore};
use serde::{Serialize, de::DeserializeOwned};

use self::{
    model::{Identity, OrgRole, Session, Token, User, Via},
    password::Cost,
};
use super::{
    ids::{digest, hex},
    refusal::Refusal,
};

const USERS: &str = "grafana/users";
const TOKENS: &str = "grafana/tokens";
const SESSIONS: &str = "grafana/sessions";

/// Users and service accounts together.
const MAX_USERS: usize = 10_000;

/// Tokens of all service accounts together.
const MAX_TOKENS: usize = 10_000;

/// Log-ins of one user; the oldest ends when one more begins.
const MAX_SESSIONS_EACH: usize = 50;

/// Longest login, name or address of mail.
pub(crate) const MAX_NAME: usize = 190;

/// That somebody was here is written down this often at most.
const SEEN_MS: i64 = 10 * 60_000;

/// Makes numbers that nobody can guess.
pub type Random = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// How long log-ins last, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// Without a request.
    pub idle: i64,
    /// In any case.
    pub most: i64,
}

/// All who may come in.
pub(crate) struct Accounts {
    store: Arc<dyn StateStore>,
    random: Random,
    cost: Cost,
    lifetimes: Lifetimes,
    state: RwLock<State>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// What the store holds.
#[derive(Default)]
struct State {
    users: BTreeMap<u64, User>,
    tokens: BTreeMap<u64, Token>,
    /// By digest.
    sessions: BTreeMap<String, Session>,
}

/// A document that is written, or none where one was.
enum Doc {
    User(User),
    NoUser(u64),
    Token(Token),
    NoToken(u64),
    Session(String, Session),
    NoSession(String),
}

/// What is known of somebody new.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewUser {
    pub login: String,
    pub email: String,
    pub name: String,
    pub password: Option<Secret>,
    pub role: OrgRole,
    pub server_admin: bool,
    pub is_service: bool,
}

impl Accounts {
    /// Reads the store. Documents that cannot be read are an error: a user who is lost must not be made anew.
    pub(crate) fn open(
        store: Arc<dyn StateStore>,
        random: Random,
        cost: Cost,
        lifetimes: Lifetimes,
    ) -> Result<Self, StateError> {
        let mut state = State::default();
        for user in read_all::<User>(&*store, USERS)? {
            state.users.insert(user.1.id, user.1);
        }
        for token in read_all::<Token>(&*store, TOKENS)? {
            state.tokens.insert(token.1.id, token.1);
        }
        state.sessions = read_all::<Session>(&*store, SESSIONS)?.into_iter().collect();
        let (state, changing) = (RwLock::new(state), Mutex::new(()));
        Ok(Accounts { store, random, cost, lifetimes, state, changing })
    }

    /// Writes and then shows changes. The caller holds `changing`.
    fn commit(&self, docs: Vec<Doc>, now_ms: i64) -> Result<(), StateError> {
        let changes: Vec<StateChange> =
            docs.iter().map(|doc| doc.change(now_ms)).collect::<Result<_, _>>()?;
        self.store.write(&changes)?;
        let mut state = self.state.write();
        for doc in docs {
            match doc {
                Doc::User(user) => drop(state.users.insert(user.id, user)),
                Doc::NoUser(id) => drop(state.users.remove(&id)),
                Doc::Token(token) => drop(state.tokens.insert(token.id, token)),
                Doc::NoToken(id) => drop(state.tokens.remove(&id)),
                Doc::Session(key, session) => drop(state.sessions.insert(key, session)),
                Doc::NoSession(key) => drop(state.sessions.remove(&key)),
            }
        }
        Ok(())
    }

    // --- users

    pub(crate) fn user(&self, id: u64) -> Option<User> {
        self.state.read().users.get(&id).cloned()
    }

    /// By login or address of mail, whatever the case.
    pub(crate) fn user_named(&self, name: &str) -> Option<User> {
        self.state.read().user_named(name).cloned()
    }

    /// People, or service accounts, by number.
    pub(crate) fn users(&self, services: bool) -> Vec<User> {
        self.state.read().users.values().filter(|u| u.is_service == services).cloned().collect()
    }

    pub(crate) fn add_user(&self, new: NewUser, now_ms: i64) -> Result<User, Refusal> {
        let password = new.password.as_ref().map(|p| self.hash(p)).transpose()?.unwrap_or_default();
        let _one = self.changing.lock();
        let id = {
            let state = self.state.read();
            state.check_new(&new)?;
            state.users.keys().next_back().map_or(1, |last| last + 1)
        };
        let user = User {
            id,
            uid: format!("u{id:06}"),
            login: new.login,
            email: new.email,
            name: new.name,
            role: new.role,
            server_admin: new.server_admin,
            is_service: new.is_service,
            password,
            created_ms: now_ms,
            updated_ms: now_ms,
            ..User::default()
        };
        self.commit(vec![Doc::User(user.clone())], now_ms)?;
        Ok(user)
    }

    /// Changes a user; `change` must leave the number alone.
    pub(crate) fn change_user(
        &self,
        id: u64,
        now_ms: i64,
        change: impl FnOnce(&mut User) -> Result<(), Refusal>,
    ) -> Result<User, Refusal> {
        let _one = self.changing.lock();
        let mut user = self.user(id).ok_or_else(|| Refusal::not_found("user not found"))?;
        let before = user.clone();
        change(&mut user)?;
        user.updated_ms = now_ms;
        {
            let state = self.state.read();
            // What was taken long ago stays as it is, and must not keep the user from being disabled.
            if names(&user) != names(&before) {
                check_names(names(&user))?;
            }
            let taken = |name: &str| state.user_named(name).is_some_and(|other| other.id != id);
            if taken(&user.login) || !user.email.is_empty() && taken(&user.email) {
                return Err(Refusal::conflict("user already exists"));
            }
            state.check_some_admin_is_left(&before, Some(&user))?;
        }
        let mut docs = vec![Doc::User(user.clone())];
        if user.disabled {
            docs.extend(self.sessions_of(id, None));
        }
        self.commit(docs, now_ms)?;
        Ok(user)
    }

    pub(crate) fn remove_user(&self, id: u64, services: bool, now_ms: i64) -> Result<User, Refusal> {
        let _one = self.changing.lock();
        let user = self.user(id).filter(|u| u.is_service == services);
        let user = user.ok_or_else(|| Refusal::not_found("user not found"))?;
        let mut docs = vec![Doc::NoUser(id)];
        {
            let state = self.state.read();
            state.check_some_admin_is_left(&user, None)?;
            docs.extend(state.tokens.values().filter(|t| t.owner == id).map(|t| Doc::NoToken(t.id)));
        }
        docs.extend(self.sessions_of(id, None));
        self.commit(docs, now_ms)?;
        Ok(user)
    }

    /// Sets a password and ends all log-ins but `keep`.
    pub(crate) fn set_password(
        &self,
        id: u64,
        password: &Secret,
        generated: bool,
        keep: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let hash = self.hash(password)?;
        let _one = self.changing.lock();
        let mut user = self.user(id).ok_or_else(|| Refusal::not_found("user not found"))?;
        (user.password, user.generated, user.updated_ms) = (hash, generated, now_ms);
        let mut docs = vec![Doc::User(user)];
        docs.extend(self.sessions_of(id, keep));
        Ok(self.commit(docs, now_ms)?)
    }

    fn hash(&self, password: &Secret) -> Result<String, Refusal> {
        let length = password.expose().len();
        if !(password::SHORTEST..=password::LONGEST).contains(&length) {
            let (least, most) = (password::SHORTEST, password::LONGEST);
            return Err(Refusal::bad(format!("a password has {least} to {most} bytes")));
        }
        self.hash_any(password)
    }

    fn hash_any(&self, password: &Secret) -> Result<String, Refusal> {
        password::hash(password.expose(), (self.random)(), self.cost)
            .ok_or_else(|| Refusal::bad("the password cannot be hashed"))
    }

    /// Makes the first user, unless there are any; or puts a configured password in the place of one that was made up. Returns
    /// the password if one was made up now.
    pub(crate) fn first_user(
        &self,
        login: &str,
        configured: Option<&Secret>,
        renew: bool,
        now_ms: i64,
    ) -> Result<Option<Secret>, Refusal> {
        let first = self.state.read().users.values().find(|u| u.server_admin).cloned();
        if let Some(user) = first {
            if !user.generated || configured.is_none() && !renew {
                return Ok(None);
            }
            return self.give_password(user.id, configured, now_ms);
        }
        let email = format!("{login}@localhost");
        let new = NewUser {
            login: login.to_owned(),
            email,
            role: OrgRole::Admin,
            server_admin: true,
            ..NewUser::default()
        };
        let user = self.add_user(new, now_ms)?;
        self.give_password(user.id, configured, now_ms)
    }

    /// Sets the configured password, or one that is made up and returned. The owner's choice may be shorter than those of others.
    fn give_password(
        &self,
        id: u64,
        configured: Option<&Secret>,
        now_ms: i64,
    ) -> Result<Option<Secret>, Refusal> {
        let made_up = configured.is_none().then(|| Secret::new(self.readable_password()));
        let hash = configured.or(made_up.as_ref()).map(|p| self.hash_any(p)).transpose()?;
        self.change_user(id, now_ms, |u| {
            (u.password, u.generated) = (hash.unwrap_or_default(), made_up.is_some());
            Ok(())
        })?;
        Ok(made_up)
    }

    /// 100 bits in letters and digits that people do not mix up.
    fn readable_password(&self) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let random = (self.random)();
        random[..20].iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect()
    }

    /// Whom user and password belong to. Takes as long for names that do not exist.
    pub(crate) fn check_password(&self, name: &str, password: &Secret) -> Option<User> {
        let user = self.user_named(name).filter(|u| !u.is_service && !u.disabled && !u.password.is_empty());
        let hash = user.as_ref().map_or_else(|| self.nobody(), |u| u.password.clone());
        let right = password::is_right(password.expose(), &hash);
        user.filter(|_| right)
    }

    /// A hash that fits nothing, at our cost.
    fn nobody(&self) -> String {
        let Cost { memory, passes } = self.cost;
        format!("$argon2id$v=19$m={memory},t={passes},p=1$AAAAAAAAAAAAAAAAAAAAAA${}", "A".repeat(43))
    }

    // --- sessions

    /// Begins a log-in: returns what the browser is to keep. It is always a new one, so that nobody can have laid it there before.
    pub(crate) fn log_in(&self, id: u64, address: &str, now_ms: i64) -> Result<Secret, Refusal> {
        let token = hex(&(self.random)());
        let _one = self.changing.lock();
        let mut user = self.user(id).ok_or_else(|| Refusal::not_found("user not found"))?;
        user.seen_ms = now_ms;
        let session = Session { user: id, created_ms: now_ms, seen_ms: now_ms, address: address.to_owned() };
        let mut docs = vec![Doc::User(user), Doc::Session(digest(&token), session)];
        docs.extend(self.outdated_sessions(id, now_ms));
        self.commit(docs, now_ms)?;
        Ok(Secret::new(token))
    }

    /// Who has this cookie.
    pub(crate) fn by_session(&self, token: &str, now_ms: i64) -> Option<Identity> {
        let key = digest(token);
        let state = self.state.read();
        let session = state.sessions.get(&key).filter(|s| self.is_alive(s, now_ms))?;
        let user = state.users.get(&session.user).filter(|u| !u.disabled && !u.is_service)?;
        Some(Identity::of(user, Via::Session(key)))
    }

    /// Whether it is time to write down that `identity` was here.
    pub(crate) fn is_stale(&self, identity: &Identity, now_ms: i64) -> bool {
        let Via::Session(key) = &identity.via else { return false };
        self.state.read().sessions.get(key).is_some_and(|s| now_ms - s.seen_ms > SEEN_MS)
    }

    /// Writes down that `identity` was here.
    pub(crate) fn seen(&self, identity: &Identity, now_ms: i64) -> Result<(), StateError> {
        let Via::Session(key) = &identity.via else { return Ok(()) };
        let _one = self.changing.lock();
        let (session, user) = {
            let state = self.state.read();
            (state.sessions.get(key).cloned(), state.users.get(&identity.id).cloned())
        };
        let (Some(session), Some(user)) = (session, user) else { return Ok(()) };
        let docs = vec![
            Doc::Session(key.clone(), Session { seen_ms: now_ms, ..session }),
            Doc::User(User { seen_ms: now_ms, ..user }),
        ];
        self.commit(docs, now_ms)
    }

    pub(crate) fn log_out(&self, key: &str, now_ms: i64) -> Result<(), StateError> {
        let _one = self.changing.lock();
        self.commit(vec![Doc::NoSession(key.to_owned())], now_ms)
    }

    fn is_alive(&self, session: &Session, now_ms: i64) -> bool {
        now_ms - session.seen_ms < self.lifetimes.idle && now_ms - session.created_ms < self.lifetimes.most
    }

    fn sessions_of(&self, user: u64, keep: Option<&str>) -> Vec<Doc> {
        let state = self.state.read();
        let theirs = state.sessions.iter().filter(|(key, s)| s.user == user && Some(key.as_str()) != keep);
        theirs.map(|(key, _)| Doc::NoSession(key.clone())).collect()
    }

    /// Log-ins that are over, and the oldest of a user who has too many.
    fn outdated_sessions(&self, user: u64, now_ms: i64) -> Vec<Doc> {
        let state = self.state.read();
        let (alive, over): (Vec<_>, Vec<_>) =
            state.sessions.iter().partition(|(_, s)| self.is_alive(s, now_ms));
        let mut theirs: Vec<_> = alive.into_iter().filter(|(_, s)| s.user == user).collect();
        theirs.sort_by_key(|(_, s)| s.seen_ms);
        let surplus = (theirs.len() + 1).saturating_sub(MAX_SESSIONS_EACH);
        let gone = over.into_iter().chain(theirs.into_iter().take(surplus));
        gone.map(|(key, _)| Doc::NoSession(key.clone())).collect()
    }

    // --- tokens

    pub(crate) fn tokens(&self, owner: u64) -> Vec<Token> {
        self.state.read().tokens.values().filter(|t| t.owner == owner).cloned().collect()
    }

    /// Makes a token; the text that opens is returned here and never again.
    pub(crate) fn add_token(
        &self,
        owner: u64,
        name: &str,
        expires_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(Token, Secret), Refusal> {
        check_name("name", name)?;
        let text = token_text(&(self.random)());
        let _one = self.changing.lock();
        let id = {
            let state = self.state.read();
            if !state.users.get(&owner).is_some_and(|u| u.is_service) {
                return Err(Refusal::not_found("service account not found"));
            }
            if state.tokens.values().any(|t| t.owner == owner && t.name == name) {
                return Err(Refusal::conflict("service account token with given name already exists"));
            }
            if state.tokens.len() >= MAX_TOKENS {
                return Err(Refusal::full("MAX_TOKENS", MAX_TOKENS));
            }
            state.tokens.keys().next_back().map_or(1, |last| last + 1)
        };
        let token = Token {
            id,
            owner,
            name: name.to_owned(),
            digest: digest(&text),
            created_ms: now_ms,
            expires_ms,
            used_ms: None,
        };
        self.commit(vec![Doc::Token(token.clone())], now_ms)?;
        Ok((token, Secret::new(text)))
    }

    pub(crate) fn remove_token(&self, owner: u64, id: u64, now_ms: i64) -> Result<(), Refusal> {
        let _one = self.changing.lock();
        if self.state.read().tokens.get(&id).is_none_or(|t| t.owner != owner) {
            return Err(Refusal::not_found("service account token not found"));
        }
        Ok(self.commit(vec![Doc::NoToken(id)], now_ms)?)
    }

    /// Who has this token.
    pub(crate) fn by_token(&self, text: &str, now_ms: i64) -> Option<Identity> {
        // Compared are digests: how long that takes says nothing about the token.
        let digest = digest(text);
        let state = self.state.read();
        let token = state.tokens.values().find(|t| t.digest == digest && !t.is_expired(now_ms))?;
        let user = state.users.get(&token.owner).filter(|u| !u.disabled)?;
        Some(Identity::of(user, Via::Token))
    }
}

impl State {
    fn user_named(&self, name: &str) -> Option<&User> {
        let name = name.to_lowercase();
        self.users
            .values()
            .find(|u| u.login.to_lowercase() == name || !u.email.is_empty() && u.email.to_lowercase() == name)
    }

    fn check_new(&self, new: &NewUser) -> Result<(), Refusal> {
        check_names([&new.login, &new.email, &new.name])?;
        if self.users.len() >= MAX_USERS {
            return Err(Refusal::full("MAX_USERS", MAX_USERS));
        }
        let taken = |name: &str| !name.is_empty() && self.user_named(name).is_some();
        if taken(&new.login) || taken(&new.email) {
            let what = if new.is_service { "service account" } else { "user" };
            return Err(Refusal::conflict(format!("{what} already exists")));
        }
        Ok(())
    }

    /// Nobody may lock the house from outside.
    fn check_some_admin_is_left(&self, before: &User, after: Option<&User>) -> Result<(), Refusal> {
        let is_admin = |u: &User| u.server_admin && !u.disabled && !u.is_service;
        let others = self.users.values().any(|u| u.id != before.id && is_admin(u));
        if is_admin(before) && !after.is_some_and(is_admin) && !others {
            return Err(Refusal::bad("this is the last server administrator"));
        }
        Ok(())
    }
}

impl Doc {
    fn change(&self, now_ms: i64) -> Result<StateChange, StateError> {
        Ok(match self {
            Doc::User(user) => StateChange::put(USERS, &key(user.id), to_bytes(user)?, now_ms),
            Doc::NoUser(id) => StateChange::delete(USERS, &key(*id)),
            Doc::Token(token) => StateChange::put(TOKENS, &key(token.id), to_bytes(token)?, now_ms),
            Doc::NoToken(id) => StateChange::delete(TOKENS, &key(*id)),
            Doc::Session(key, session) => StateChange::put(SESSIONS, key, to_bytes(session)?, now_ms),
            Doc::NoSession(key) => StateChange::delete(SESSIONS, key),
        })
    }
}

/// Keys sort as their numbers do.
pub(super) fn key(id: u64) -> String {
    format!("{id:020}")
}

pub(super) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(value).map_err(|e| StateError::Unavailable(e.to_string()))
}

/// The documents of a space, with their keys.
pub(super) fn read_all<T: DeserializeOwned>(
    store: &dyn StateStore,
    space: &str,
) -> Result<Vec<(String, T)>, StateError> {
    let read = |d: reba_storage::Document| match serde_json::from_slice(&d.body) {
        Ok(value) => Ok((d.key, value)),
        Err(e) => Err(StateError::Unavailable(format!("{space}/{} cannot be read: {e}", d.key))),
    };
    store.list(space)?.into_iter().map(read).collect()
}

/// Login, address of mail and name.
fn names(user: &User) -> [&str; 3] {
    [&user.login, &user.email, &user.name]
}

/// Address and name may be left out.
fn check_names([login, email, name]: [&str; 3]) -> Result<(), Refusal> {
    check_name("login", login)?;
    let mut given = [("email", email), ("name", name)].into_iter().filter(|(_, text)| !text.is_empty());
    given.try_for_each(|(what, text)| check_name(what, text))
}

/// Names are shown and searched for: no control characters, no white space at the ends.
fn check_name(what: &str, text: &str) -> Result<(), Refusal> {
    let fine =
        !text.is_empty() && text.len() <= MAX_NAME && text.trim() == text && !text.contains(char::is_control);
    if fine {
        Ok(())
    } else {
        Err(Refusal::bad(format!("{what}: 1 to {MAX_NAME} bytes without control characters")))
    }
}

/// A token in upstream's shape: prefix, 32 letters and digits, checksum.
fn token_text(random: &[u8; 32]) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let secret: String = random.iter().map(|b| char::from(LETTERS[usize::from(*b) % 62])).collect();
    let checksum = crc32fast::hash(secret.as_bytes());
    format!("glsa_{secret}_{checksum:08x}")
}
