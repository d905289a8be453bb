//! An HTTP server that is asked for JSON.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use parking_lot::Mutex;
use reba_http::{BasicAuth, BodyBuffer, Client, HttpClientConfig, Request, Url};

use super::{
    DiscoveryOptions,
    refresh::{MAX_BODY_BYTES, SourceError},
};

/// A client that is made at the first request, so that a certificate which cannot be read yet is a failed request
/// like any other.
pub(crate) struct Remote {
    config: HttpClientConfig,
    options: DiscoveryOptions,
    client: Mutex<Option<Client>>,
}

impl Remote {
    pub fn new(config: HttpClientConfig, options: DiscoveryOptions) -> Self {
        Remote { config, options, client: Mutex::new(None) }
    }

    /// Like [`Remote::new`]; the user and password of `url`, if it has them, are those of every request.
    pub fn for_url(url: &Url, mut config: HttpClientConfig, options: DiscoveryOptions) -> Self {
        if let Some((name, password)) = url.user() {
            config.authorization = None;
            config.oauth2 = None;
            config.basic_auth = Some(BasicAuth {
                username: Some(name.to_owned()),
                password: password.cloned(),
                ..BasicAuth::default()
            });
        }
        Self::new(config, options)
    }

    pub fn client(&self) -> Result<Client, SourceError> {
        let mut made = self.client.lock();
        if let Some(client) = &*made {
            return Ok(client.clone());
        }
        let client = Client::new(&self.config, &self.options.user_agent, &self.options.proxies)?;
        Ok(made.insert(client).clone())
    }

    /// Sends a `GET` and reads the answer, whose status must be 200, into `buffer`.
    pub async fn get(
        &self,
        uri: Uri,
        headers: HeaderMap,
        timeout: Duration,
        buffer: &mut BodyBuffer,
    ) -> Result<HeaderMap, SourceError> {
        let mut request = Request::get(uri, timeout, MAX_BODY_BYTES);
        request.headers = headers;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.client()?.send(request, buffer).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.headers),
            status => Err(SourceError::Status(status)),
        }
    }
}
