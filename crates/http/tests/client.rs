//! The client against real servers.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Redirect},
    routing::{any, get, post},
};
use reba_http::{BodyBuffer, Client, HttpClientConfig, HttpError, ProxyEnv, Request, Response, TlsConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn client(yaml: &str) -> Client {
    let mut config: HttpClientConfig = serde_saphyr::from_str(yaml).unwrap();
    config.validate().unwrap();
    Client::new(&config, "reba-test", &ProxyEnv::default()).unwrap()
}

async fn fetch(client: &Client, url: &str) -> Result<(Response, String), HttpError> {
    let mut buffer = BodyBuffer::default();
    let request = Request::get(url.parse().unwrap(), Duration::from_secs(5), 1 << 20);
    let response = client.send(request, &mut buffer).await?;
    Ok((response, String::from_utf8_lossy(&buffer.data).into_owned()))
}

/// Answers with the headers it was sent.
fn echo() -> Router {
    Router::new().fallback(any(|method: Method, headers: HeaderMap, body: Bytes| async move {
        let auth = headers.get(header::AUTHORIZATION).map_or("none", |v| v.to_str().unwrap()).to_owned();
        let custom = headers.get("x-custom").map_or("none", |v| v.to_str().unwrap()).to_owned();
        format!("{method} auth={auth} custom={custom} body={}", body.len())
    }))
}

#[tokio::test]
async fn credentials_come_from_files_that_are_read_at_every_request() {
    let address = serve(echo()).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let c = client(&format!("authorization: {{credentials_file: '{}'}}", file.display()));
    let url = format!("http://{address}/");
    assert_eq!(fetch(&c, &url).await.unwrap().1, "GET auth=Bearer one custom=none body=0");
    std::fs::write(&file, " two ").unwrap();
    assert_eq!(fetch(&c, &url).await.unwrap().1, "GET auth=Bearer two custom=none body=0");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(fetch(&c, &url).await, Err(HttpError::File { .. })));
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_stay_with_their_host() {
    let other = serve(echo()).await;
    let target = format!("http://{other}/");
    let app = echo()
        .route("/near", get(|| async { Redirect::temporary("far/../here") }))
        .route("/away", get(move || async move { Redirect::temporary(&target) }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/post", post(|| async { Redirect::to("/got") }));
    let address = serve(app).await;
    let c = client("basic_auth: {username: u, password: p}\nhttp_headers: {X-Custom: {secrets: [s3cret]}}");
    let body = |path: &str| {
        let (c, url) = (c.clone(), format!("http://{address}{path}"));
        async move { fetch(&c, &url).await.unwrap().1 }
    };
    assert_eq!(body("/near").await, "GET auth=Basic dTpw custom=s3cret body=0");
    assert_eq!(body("/away").await, "GET auth=none custom=none body=0");
    // Nor does a secret of the request's own go along, whatever its header is called.
    for (path, want) in [("/near", "own"), ("/away", "none")] {
        let plain = client("{}");
        let url = format!("http://{address}{path}").parse().unwrap();
        let mut request = Request::get(url, Duration::from_secs(5), 1 << 20);
        let mut own = header::HeaderValue::from_static("own");
        own.set_sensitive(true);
        request.headers.insert("x-custom", own);
        let mut buffer = BodyBuffer::default();
        plain.send(request, &mut buffer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer.data), format!("GET auth=none custom={want} body=0"));
    }
    let e = fetch(&c, &format!("http://{address}/loop")).await.unwrap_err();
    assert!(e.to_string().contains("stopped after 10 redirects"), "{e}");
    let mut request =
        Request::get(format!("http://{address}/post").parse().unwrap(), Duration::from_secs(5), 1 << 20);
    (request.method, request.body) = (Method::POST, Bytes::from_static(b"data"));
    let mut buffer = BodyBuffer::default();
    c.send(request, &mut buffer).await.unwrap();
    assert_eq!(buffer.data, b"GET auth=Basic dTpw custom=s3cret body=0");
}

#[tokio::test]
async fn bodies_are_bounded_while_they_are_decompressed() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![0; 50 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();
    let app = Router::new()
        .route(
            "/bomb",
            get(move || async move { ([(header::CONTENT_ENCODING, "gzip")], bomb).into_response() }),
        )
        .route("/long", get(|| async { vec![b'x'; 2 << 20] }))
        .route("/odd", get(|| async { ([(header::CONTENT_ENCODING, "br")], "x").into_response() }));
    let address = serve(app).await;
    let c = client("{}");
    for path in ["bomb", "long"] {
        let e = fetch(&c, &format!("http://{address}/{path}")).await.unwrap_err();
        assert!(matches!(e, HttpError::TooLarge { .. }), "{e}");
    }
    let e = fetch(&c, &format!("http://{address}/odd")).await.unwrap_err();
    assert!(matches!(e, HttpError::Encoding(_)), "{e}");
}

/// Reads one request head; false if the client has gone.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

#[tokio::test]
async fn a_request_that_meets_the_end_of_an_idle_connection_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Each connection answers once; the second request on it finds the connection closing.
            if read_request(&mut stream).await {
                seen.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                read_request(&mut stream).await;
            }
        }
    });
    let client = client("{}");
    for _ in 0..3 {
        assert_eq!(fetch(&client, &url).await.unwrap().1, "ok");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_always_hangs_up_is_asked_twice_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    assert!(matches!(fetch(&client("{}"), &url).await, Err(HttpError::Transport { .. })));
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_that_never_answers_meets_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    let request =
        Request::get(format!("http://{address}/").parse().unwrap(), Duration::from_millis(50), 1 << 20);
    let e = client("{}").send(request, &mut BodyBuffer::default()).await.unwrap_err();
    assert_eq!(e.to_string(), format!("Get \"http://{address}/\": context deadline exceeded"));
    assert!(matches!(e, HttpError::Timeout { .. }));
}

#[derive(serde::Deserialize)]
struct TokenForm {
    grant_type: String,
    scope: String,
    audience: String,
}

#[tokio::test]
async fn one_token_serves_many_requests_until_it_expires() {
    let asked = Arc::new(AtomicUsize::new(0));
    let tokens: Router = Router::new()
        .route(
            "/token",
            post(|State(asked): State<Arc<AtomicUsize>>, headers: HeaderMap, Form(form): Form<TokenForm>| async move {
                assert_eq!(
                    (form.grant_type.as_str(), form.scope.as_str(), form.audience.as_str()),
                    ("client_credentials", "a b", "x&y")
                );
                if headers[header::AUTHORIZATION] != "Basic aWQ6czNjcmV0" {
                    return StatusCode::UNAUTHORIZED.into_response();
                }
                let n = asked.fetch_add(1, Ordering::SeqCst);
                // The first token is not good for another request.
                let lifetime = if n == 0 { 5 } else { 3600 };
                Json(serde_json::json!({"access_token": format!("t{n}"), "token_type": "bearer", "expires_in": lifetime}))
                    .into_response()
            }),
        )
        .with_state(asked.clone());
    let address = serve(echo().merge(tokens)).await;
    let c = client(&format!(
        "oauth2: {{client_id: id, client_secret: s3cret, scopes: [a, b], endpoint_params: {{audience: 'x&y'}}, \
         token_url: 'http://{address}/token'}}"
    ));
    let url = format!("http://{address}/");
    for token in ["t0", "t1", "t1", "t1"] {
        let want = format!("GET auth=Bearer {token} custom=none body=0");
        assert_eq!(fetch(&c, &url).await.unwrap().1, want);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// A proxy that answers the first request it gets with `tunnel` handled by CONNECT, and keeps what it was asked.
async fn proxy() -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            log.lock().unwrap().push(head.clone());
            if let Some(target) = head.strip_prefix("CONNECT ").and_then(|h| h.split(' ').next()) {
                let mut upstream = TcpStream::connect(target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut upstream).await });
            } else {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nproxy";
                stream.write_all(answer).await.unwrap();
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn plain_requests_name_their_whole_url_to_a_proxy() {
    let (address, seen) = proxy().await;
    let c = client(&format!("proxy_url: 'http://me:pw@{address}'\nno_proxy: direct.example"));
    let (_, body) = fetch(&c, "http://target.example:81/x?y=1").await.unwrap();
    assert_eq!(body, "proxy");
    let head = seen.lock().unwrap()[0].to_lowercase();
    assert!(head.starts_with("get http://target.example:81/x?y=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6chc="), "{head}");
}

/// Accepts TLS connections for axum.
struct TlsListener {
    tcp: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, peer)) = self.tcp.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A TLS server with a certificate for `localhost` that only its own authority vouches for; it answers with the
/// version of HTTP. If asked to, it wants a certificate from its clients.
async fn tls_server(client_certificates: bool) -> String {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let chain = vec![CertificateDer::from_pem_slice(include_bytes!("data/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("data/server.key")).unwrap();
    let builder = if client_certificates {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).unwrap()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let listener = TlsListener { tcp, acceptor: tokio_rustls::TlsAcceptor::from(Arc::new(config)) };
    let app = Router::new().fallback(any(|v: axum::http::Version| async move { format!("{v:?}") }));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

const CA: &str = include_str!("data/ca.pem");

/// A configuration that trusts the server.
fn trusting() -> String {
    format!("tls_config:\n  server_name: localhost\n  ca: |\n    {}\n", CA.replace('\n', "\n    "))
}

#[tokio::test]
async fn http2_is_spoken_unless_switched_off() {
    let url = format!("https://{}/", tls_server(false).await);
    let (_, version) = fetch(&client(&trusting()), &url).await.unwrap();
    assert_eq!(version, "HTTP/2.0");
    let (_, version) = fetch(&client(&format!("{}enable_http2: false", trusting())), &url).await.unwrap();
    assert_eq!(version, "HTTP/1.1");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let url = format!("https://{}/", tls_server(true).await);
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let with = format!("{}  cert_file: {data}/client.pem\n  key_file: {data}/client.key\n", trusting());
    assert_eq!(fetch(&client(&with), &url).await.unwrap().1, "HTTP/2.0");
    assert!(fetch(&client(&trusting()), &url).await.is_err());
}

/// A handshake with a server of the name `localhost`, by another name.
async fn under_another_name(tls: &TlsConfig) -> Result<(), String> {
    let stream = tokio::net::TcpStream::connect(tls_server(false).await).await.unwrap();
    let config = reba_http::tls_client(tls).await.map_err(|e| e.to_string())?;
    let name = rustls::pki_types::ServerName::try_from("elsewhere.example").unwrap();
    let connector = tokio_rustls::TlsConnector::from(config);
    connector.connect(name, stream).await.map(|_| ()).map_err(|e| e.to_string())
}

#[tokio::test]
async fn any_name_lets_names_be_but_not_who_signed() {
    let strict = TlsConfig { ca: Some(CA.to_owned()), ..TlsConfig::default() };
    assert!(under_another_name(&strict).await.is_err());
    let any_name = TlsConfig { any_name: true, ..strict.clone() };
    under_another_name(&any_name).await.unwrap();
    let stranger = Some(include_str!("data/client.pem").to_owned());
    assert!(under_another_name(&TlsConfig { ca: stranger.clone(), ..any_name }).await.is_err());
    let skip = TlsConfig { ca: stranger, insecure_skip_verify: true, ..TlsConfig::default() };
    under_another_name(&skip).await.unwrap();
}

#[tokio::test]
async fn errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let data = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    let refused = async |ca: &std::path::Path, cert: &std::path::Path, key: &std::path::Path| {
        let file = |f: &std::path::Path| Some(f.to_owned());
        let tls = TlsConfig {
            ca_file: file(ca),
            cert_file: file(cert),
            key_file: file(key),
            ..TlsConfig::default()
        };
        reba_http::tls_client(&tls).await.unwrap_err().to_string()
    };
    let (ca, cert, key) = (data.join("ca.pem"), data.join("client.pem"), data.join("client.key"));
    for (what, error) in [
        ("CA cert", refused(&empty, &cert, &key).await),
        ("client cert", refused(&ca, &empty, &key).await),
        ("client key", refused(&ca, &cert, &empty).await),
    ] {
        assert_eq!(error, format!("unable to use specified {what} file {}", empty.display()));
    }
    let absent = dir.path().join("absent.pem");
    let error = refused(&absent, &cert, &key).await;
    assert!(error.starts_with(&format!("unable to read file {}: ", absent.display())), "{error}");
}

#[tokio::test]
async fn certificates_on_disk_are_read_again_when_they_change() {
    let url = format!("https://{}/", tls_server(false).await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    // A certificate, but not of an authority that vouches for the server.
    std::fs::write(&file, include_str!("data/client.pem")).unwrap();
    let c = client(&format!("tls_config: {{server_name: localhost, ca_file: '{}'}}", file.display()));
    assert!(fetch(&c, &url).await.unwrap_err().to_string().contains("certificate"));
    std::fs::write(&file, "no certificate").unwrap();
    let e = fetch(&c, &url).await.unwrap_err();
    assert_eq!(e.to_string(), format!("unable to use specified CA cert file {}", file.display()));
    std::fs::write(&file, CA).unwrap();
    assert_eq!(fetch(&c, &url).await.unwrap().1, "HTTP/2.0");
}

#[tokio::test]
async fn certificates_are_checked_by_name_and_authority_also_through_a_proxy() {
    let address = tls_server(false).await;
    let url = format!("https://{address}/");
    let trusting = trusting();
    let (_, body) = fetch(&client(&trusting), &url).await.unwrap();
    assert_eq!(body, "HTTP/2.0");
    for config in [
        // The name does not fit, or nobody vouches for the certificate.
        trusting.replace("localhost", "other.example"),
        "tls_config: {server_name: localhost}".to_owned(),
    ] {
        let e = fetch(&client(&config), &url).await.unwrap_err();
        assert!(e.to_string().contains("certificate"), "{e}");
    }
    let (_, body) = fetch(&client("tls_config: {insecure_skip_verify: true}"), &url).await.unwrap();
    assert_eq!(body, "HTTP/2.0");
    let (proxy, seen) = proxy().await;
    let through =
        format!("{trusting}proxy_url: 'http://{proxy}'\nproxy_connect_header: {{X-Pass: [s3cret]}}\n");
    assert_eq!(fetch(&client(&through), &url).await.unwrap().1, "HTTP/2.0");
    let head = seen.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("CONNECT {address} HTTP/1.1\r\n")) && head.contains("X-Pass: s3cret"));
}
