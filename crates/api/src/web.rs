//! The web configuration file, as every program of the Prometheus family reads it: TLS, users, headers.
//!
//! The file and what it names are looked at again at every connection and every request; when one has changed it is read
//! anew. A file that has become wrong is logged, and what was read before stays in force.

mod auth;
mod config;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::{self, Next},
    response::Response,
};
use parking_lot::Mutex;
use reba_config::{ConfigError, Unknown, Variables};
use rustls::ServerConfig;

use self::auth::Users;

/// The web configuration of a listener.
pub struct Web {
    path: PathBuf,
    variables: Variables,
    current: Mutex<Current>,
    users: Users,
}

struct Current {
    settings: Arc<Settings>,
    /// The files it was read from, as they were then.
    stamps: Vec<(PathBuf, Stamp)>,
}

/// Time of the last change, and length; `None` if the file is not there.
type Stamp = Option<(SystemTime, u64)>;

/// What a web configuration file says.
struct Settings {
    tls: Option<Arc<ServerConfig>>,
    /// Whether clients must show a certificate.
    certificates: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Hashes of passwords by user; empty: everybody may come in.
    users: std::collections::BTreeMap<String, String>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Web {
    /// Reads and checks the file at `path` and the files it names.
    /// `variables` are what `${NAME}` in it may ask for.
    pub fn load(path: &Path, variables: &Variables) -> Result<Self, ConfigError> {
        let current = Mutex::new(read(path, variables)?);
        Ok(Web { path: path.to_owned(), variables: variables.clone(), current, users: Users::default() })
    }

    /// Whether people must name themselves, by a password or a certificate.
    pub fn authenticates(&self) -> bool {
        let settings = self.settings();
        settings.certificates || !settings.users.is_empty()
    }

    /// TLS, if connections use it.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.settings().tls.clone()
    }

    /// Puts the users and the headers before every route of `router`.
    pub fn protect(self: Arc<Self>, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, guard))
    }

    /// Puts only the headers before every route of `router`.
    pub fn decorate(self: Arc<Self>, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, add_headers))
    }

    /// The settings in force, read anew if a file has changed.
    fn settings(&self) -> Arc<Settings> {
        let mut current = self.current.lock();
        if current.stamps.iter().any(|(path, before)| stamp(path) != *before) {
            match read(&self.path, &self.variables) {
                Ok(new) if new.settings.tls.is_some() == current.settings.tls.is_some() => *current = new,
                Ok(_) => {
                    tracing::error!(path = %self.path.display(), "TLS can only be switched on or off by a restart");
                    current.restamp();
                }
                Err(error) => {
                    tracing::error!(%error, "the web configuration is wrong; the one before stays in force");
                    current.restamp();
                }
            }
        }
        Arc::clone(&current.settings)
    }
}

impl Current {
    /// Looks away until a file changes again.
    fn restamp(&mut self) {
        for (path, before) in &mut self.stamps {
            *before = stamp(path);
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn read(path: &Path, variables: &Variables) -> Result<Current, ConfigError> {
    // What changes while it is read is read again the next time.
    let first = stamp(path);
    let text = fs::read_to_string(path).map_err(|e| ConfigError::io(path, &e))?;
    let expanded = variables.expand(&text, path, &Unknown { keep: false, groups: &[] })?;
    let mut stamps = vec![(path.to_owned(), first)];
    stamps.extend(expanded.files.iter().map(|file| (file.clone(), stamp(file))));
    let (settings, files) = config::parse(&expanded.text, path).map_err(|e| expanded.hide(e))?;
    stamps.extend(files);
    Ok(Current { settings: Arc::new(settings), stamps })
}

/// Whether `text` is a web configuration, for its fuzz target.
#[cfg(any(test, fuzzing))]
pub fn fuzzing_parse(text: &str) -> bool {
    config::parse(text, Path::new("/nonexistent/web.yml")).is_ok()
}

/// Lets in whom the users' list knows, and adds the headers to the answer.
async fn guard(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let settings = web.settings();
    let mut response = if web.users.admits(&settings.users, request.headers()).await {
        next.run(request).await
    } else {
        auth::refusal()
    };
    settings.add_headers(&mut response);
    response
}

async fn add_headers(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    web.settings().add_headers(&mut response);
    response
}

impl Settings {
    fn add_headers(&self, response: &mut Response) {
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, routing::get};
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use tower::ServiceExt as _;

    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string()
    }

    async fn ask(router: &Router, credentials: Option<&str>) -> Response {
        let mut request = Request::builder().uri("/");
        if let Some(text) = credentials {
            request = request.header("Authorization", format!("Basic {}", BASE64_STANDARD.encode(text)));
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn users_come_in_with_their_password_only_and_changes_count_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let header = "http_server_config: {headers: {X-Frame-Options: deny}}\n";
        fs::write(&path, format!("{header}basic_auth_users: {{alice: '{}'}}\n", hash("se:cret"))).unwrap();
        let web = Arc::new(Web::load(&path, &Variables::default()).unwrap());
        assert!(web.authenticates() && web.tls().is_none());
        let router = Arc::clone(&web).protect(Router::new().route("/", get(|| async { "hello" })));
        // Twice, for what is remembered must be right as well.
        for _ in 0..2 {
            for (credentials, status) in [
                (Some("alice:se:cret"), 200),
                (Some("alice:se:cre"), 401),
                (Some("bob:se:cret"), 401),
                (Some("alice:"), 401),
                (Some("alice"), 401),
                (None, 401),
            ] {
                let answer = ask(&router, credentials).await;
                assert_eq!(answer.status(), status, "{credentials:?}");
                assert_eq!(answer.headers()["x-frame-options"], "deny");
                assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401);
            }
        }
        // A wrong file changes nothing, a right one does.
        fs::write(&path, "basic_auth_users: [nonsense]\n").unwrap();
        assert_eq!(ask(&router, Some("alice:se:cret")).await.status(), StatusCode::OK);
        fs::write(&path, format!("basic_auth_users: {{alice: '{}'}}\n", hash("new"))).unwrap();
        assert_eq!(ask(&router, Some("alice:se:cret")).await.status(), StatusCode::UNAUTHORIZED);
        let answer = ask(&router, Some("alice:new")).await;
        assert_eq!(
            (answer.status(), answer.headers().contains_key("x-frame-options")),
            (StatusCode::OK, false)
        );
    }
}
