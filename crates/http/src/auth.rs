//! The `Authorization` header.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::Full;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::Instant};

use crate::{HttpClientConfig, HttpError, OAuth2, ProxyEnv, Secret, body, files, transport::Transport};

/// `Basic …` for a name and a password.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

/// A header's value that is not shown in logs.
pub(crate) fn sensitive(text: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| HttpError::Config("a credential holds characters that no header may hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn text_or_file(text: Option<&str>, file: Option<&Path>) -> Result<String, HttpError> {
    match file.filter(|f| !f.as_os_str().is_empty()) {
        Some(file) => files::read_text(file).await,
        None => Ok(text.unwrap_or_default().to_owned()),
    }
}

/// The value of the header, if the configuration asks for one. Files are read at every call.
pub(crate) async fn authorization(
    config: &HttpClientConfig,
    tokens: Option<&TokenSource>,
) -> Result<Option<HeaderValue>, HttpError> {
    if let Some(b) = &config.basic_auth {
        let name = text_or_file(b.username.as_deref(), b.username_file.as_deref()).await?;
        let password = b.password.as_ref().map(Secret::expose);
        let password = text_or_file(password, b.password_file.as_deref()).await?;
        return sensitive(&basic(&name, &password)).map(Some);
    }
    if let Some(a) = &config.authorization {
        let kind = a.kind.as_deref().unwrap_or("Bearer");
        let credentials = a.credentials.as_ref().map(Secret::expose);
        let credentials = text_or_file(credentials, a.credentials_file.as_deref()).await?;
        return sensitive(&format!("{kind} {credentials}")).map(Some);
    }
    match tokens {
        Some(tokens) => tokens.header().await.map(Some),
        None => Ok(None),
    }
}

/// Gets OAuth 2.0 tokens with client credentials (RFC 6749, 4.4) and keeps them until shortly before they expire.
pub(crate) struct TokenSource {
    config: OAuth2,
    transport: Transport,
    cached: Mutex<Option<Token>>,
    /// One request for a token at a time; the others wait and find it in the cache.
    gate: Semaphore,
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    secret: Secret,
    expires: Option<Instant>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// A token is not used in its last seconds.
const EARLY: Duration = Duration::from_secs(10);

/// No answer with a token is longer.
const MAX_ANSWER: u64 = 1 << 20;

impl TokenSource {
    pub fn new(config: &OAuth2, env: &ProxyEnv) -> Result<Self, HttpError> {
        Ok(TokenSource {
            transport: Transport::new(config.tls_config.as_ref(), config.proxy(), true, env)?,
            config: config.clone(),
            cached: Mutex::new(None),
            gate: Semaphore::new(1),
        })
    }

    async fn header(&self) -> Result<HeaderValue, HttpError> {
        let secret = self.config.client_secret.as_ref().map(Secret::expose);
        let secret = text_or_file(secret, self.config.client_secret_file.as_deref()).await?;
        if let Some(token) = self.cached(&secret) {
            return Ok(token);
        }
        let _permit = self.gate.acquire().await.map_err(|e| HttpError::Token(e.to_string()))?;
        if let Some(token) = self.cached(&secret) {
            return Ok(token);
        }
        let token = self.fetch(&secret).await?;
        let header = token.header.clone();
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(header)
    }

    fn cached(&self, secret: &str) -> Option<HeaderValue> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let token = cached.as_ref()?;
        let fresh = token.expires.is_none_or(|t| Instant::now() + EARLY < t);
        (fresh && token.secret.expose() == secret).then(|| token.header.clone())
    }

    /// Sends the client's id and secret in the header, and in the form if the server does not take them there.
    async fn fetch(&self, secret: &str) -> Result<Token, HttpError> {
        let (status, answer) = self.ask(secret, true).await?;
        let (status, answer) =
            if status.is_client_error() { self.ask(secret, false).await? } else { (status, answer) };
        if !status.is_success() {
            return Err(HttpError::Token(status.to_string()));
        }
        let answer: TokenAnswer = serde_json::from_slice(&answer)
            .map_err(|_| HttpError::Token("the answer is not the JSON of a token".to_owned()))?;
        let kind = match answer.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer".to_owned(),
            _ => answer.token_type,
        };
        let lifetime = answer.expires_in.filter(|s| *s > 0.0 && *s < 1e9).map(Duration::from_secs_f64);
        Ok(Token {
            header: sensitive(&format!("{kind} {}", answer.access_token))?,
            secret: Secret::new(secret),
            expires: lifetime.map(|l| Instant::now() + l),
        })
    }

    async fn ask(&self, secret: &str, in_header: bool) -> Result<(StatusCode, Vec<u8>), HttpError> {
        let fail = |e: &dyn std::fmt::Display| HttpError::Token(e.to_string());
        let uri: Uri = self.config.token_url.parse().map_err(|e| fail(&e))?;
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        if !self.config.scopes.is_empty() {
            form.push(("scope", self.config.scopes.join(" ")));
        }
        if !in_header {
            form.push(("client_id", self.config.client_id.clone()));
            form.push(("client_secret", secret.to_owned()));
        }
        form.extend(self.config.endpoint_params.iter().map(|(k, v)| (k.as_str(), v.clone())));
        let form: Vec<String> =
            form.iter().map(|(k, v)| format!("{}={}", form_encode(k), form_encode(v))).collect();
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if in_header {
            let name = form_encode(&self.config.client_id);
            request = request.header(header::AUTHORIZATION, sensitive(&basic(&name, &form_encode(secret)))?);
        }
        let request = request.body(Full::new(Bytes::from(form.join("&")))).map_err(|e| fail(&e))?;
        let answer = self.transport.pool().await?.request(request).await;
        let answer = answer.map_err(|e| HttpError::Token(crate::error::root_cause(&e)))?;
        let status = answer.status();
        let mut buffer = body::BodyBuffer::default();
        body::read(answer, MAX_ANSWER, &mut buffer).await?;
        Ok((status, buffer.data))
    }
}

/// Encodes for `application/x-www-form-urlencoded`.
pub(crate) fn form_encode(s: &str) -> String {
    let mut out = String::new();
    for b in s.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(b as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
