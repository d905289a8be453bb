//! A pool of connections that notices when certificates on disk change.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::{OnceCell, Semaphore};

use crate::{
    HttpError, ProxyEnv, TlsConfig, Url,
    config::ProxyConfig,
    connect::{Connect, Connector},
    proxy::Proxies,
    tls::{self, Material},
};

pub(crate) type Pool = Client<Connector, Full<Bytes>>;

/// Longer than any sane scrape interval, so that connections are kept from scrape to scrape.
const IDLE: Duration = Duration::from_secs(300);

/// Requests to one host at a time are few; more connections than this are closed after use.
const MAX_IDLE_PER_HOST: usize = 8;

/// A connection reads so much at once. By default it would let its memory grow to 400 KiB after a few large pages, and keep it.
const READ_AT_ONCE: usize = 64 << 10;

/// As many host names are looked up at a time.
const MAX_LOOKUPS: usize = 8;

pub(crate) struct Transport {
    proxies: Proxies,
    proxy_headers: Vec<(String, Vec<crate::Secret>)>,
    tls: TlsConfig,
    http2: bool,
    built: RwLock<Option<Built>>,
}

#[derive(Clone)]
struct Built {
    material: Arc<Material>,
    pool: Pool,
}

impl Transport {
    pub fn new(
        tls: Option<&TlsConfig>,
        proxy: ProxyConfig<'_>,
        http2: bool,
        env: &ProxyEnv,
    ) -> Result<Self, HttpError> {
        Ok(Transport {
            proxies: Proxies::new(proxy, env)?,
            proxy_headers: proxy.connect_header.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            tls: tls.cloned().unwrap_or_default(),
            http2,
            built: RwLock::new(None),
        })
    }

    /// The proxy that `uri` is reached through.
    pub fn proxy_for(&self, uri: &http::Uri) -> Option<&Url> {
        self.proxies.choose(uri)
    }

    /// The pool, made anew if a file of the TLS configuration has changed.
    pub async fn pool(&self) -> Result<Pool, HttpError> {
        let current = self.built.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(built) = &current
            && !tls::has_files(&self.tls)
        {
            return Ok(built.pool.clone());
        }
        let material = Arc::new(Material::read(&self.tls).await?);
        if let Some(built) = current.filter(|b| b.material == material) {
            return Ok(built.pool);
        }
        let pool = self.build(&material)?;
        let built = Built { material, pool: pool.clone() };
        *self.built.write().unwrap_or_else(PoisonError::into_inner) = Some(built);
        Ok(pool)
    }

    fn build(&self, material: &Material) -> Result<Pool, HttpError> {
        if *material != Material::default() {
            // A certificate that cannot be used is an error of every request, also of those without TLS.
            tls::client_config(&self.tls, material, self.http2)?;
        }
        let connect = Connect {
            proxies: self.proxies.clone(),
            proxy_headers: self.proxy_headers.clone(),
            tls: self.tls.clone(),
            material: material.clone(),
            http2: self.http2,
            lookups: Semaphore::new(MAX_LOOKUPS),
            tls_connector: OnceCell::new(),
        };
        Ok(Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(READ_AT_ONCE)
            .build(Connector(Arc::new(connect))))
    }
}
