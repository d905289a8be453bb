//! The web app: files that the binary carries along, served compressed, with the policy that keeps pages from doing harm.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{Arc, OnceLock},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// Files smaller than this are sent as they are.
const COMPRESS_ABOVE: usize = 1024;

/// Said where the app was not built before the binary.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Reba</title></head><body>\
<h1>The web app is not in this binary</h1><p>It was built without <code>web/dist</code>. With Node.js 20 or later:</p>\
<pre>make build</pre><p>The HTTP API on this port works all the same.</p></body></html>";

/// The files of the app by their paths.
#[derive(Debug, Default)]
pub struct App {
    files: BTreeMap<String, Arc<File>>,
}

#[derive(Debug)]
struct File {
    body: Bytes,
    kind: &'static str,
    etag: String,
    /// Whether the name changes with the content.
    immutable: bool,
    gzip: OnceLock<Bytes>,
    zstd: OnceLock<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl App {
    /// The app made of `files` (paths relative to `dist`, and contents), as seen below `base`, which begins and ends with a slash.
    pub fn new(files: &[(&str, &'static [u8])], base: &str) -> Self {
        let mut all = BTreeMap::new();
        for (path, body) in files {
            let body = match *path {
                "index.html" => Bytes::from(rebase(&String::from_utf8_lossy(body), base)),
                _ => Bytes::from_static(body),
            };
            all.insert((*path).to_owned(), Arc::new(File::new(path, body)));
        }
        App { files: all }
    }

    /// Answers for `path` (with a slash at its start): a file of the app, else its page, since addresses are its own business.
    pub(super) async fn serve(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
        }
        let name = path.trim_start_matches('/');
        if let Some(file) = self.files.get(name).filter(|_| !name.starts_with('.')) {
            return answer(Arc::clone(file), headers).await;
        }
        // What looks like a file and is none must not be a page: the browser would run it as a script.
        let is_asset = name.starts_with("assets/") || name.starts_with("public/");
        if is_asset {
            return StatusCode::NOT_FOUND.into_response();
        }
        match self.files.get("index.html") {
            Some(page) => answer(Arc::clone(page), headers).await,
            None => (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT)
                .into_response(),
        }
    }
}

/// The page with the path below which it is seen.
fn rebase(page: &str, base: &str) -> String {
    let tag = format!("<base href=\"{base}\" />");
    match page.find("<base href=\"/\"") {
        Some(at) => match page[at..].find('>') {
            Some(end) => format!("{}{tag}{}", &page[..at], &page[at + end + 1..]),
            None => page.to_owned(),
        },
        None => page.replacen("<head>", &format!("<head>{tag}"), 1),
    }
}

impl File {
    fn new(path: &str, body: Bytes) -> Self {
        File {
            kind: content_type(path),
            etag: format!("{:016x}", xxh3_64(&body)),
            immutable: path.starts_with("assets/"),
            gzip: OnceLock::new(),
            zstd: OnceLock::new(),
            body,
        }
    }

    fn compresses(&self) -> bool {
        let text = ["text/", "application/json", "image/svg"].iter().any(|kind| self.kind.starts_with(kind));
        text && self.body.len() >= COMPRESS_ABOVE
    }

    /// The body in `coding`: compressed well, once.
    fn encoded(&self, coding: Coding) -> Bytes {
        match coding {
            Coding::Identity => self.body.clone(),
            Coding::Gzip => self.gzip.get_or_init(|| gzip(&self.body)).clone(),
            Coding::Zstd => self.zstd.get_or_init(|| zstd(&self.body)).clone(),
        }
    }
}

fn gzip(body: &Bytes) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing into memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().map_or_else(|_| body.clone(), Bytes::from)
}

fn zstd(body: &Bytes) -> Bytes {
    zstd::bulk::compress(body, 15).map_or_else(|_| body.clone(), Bytes::from)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The best coding that the client takes.
fn accepted(headers: &HeaderMap) -> Coding {
    let text = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let takes = |name: &str| {
        text.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let is_it = parts.next().is_some_and(|n| n.eq_ignore_ascii_case(name));
            is_it && !parts.any(|p| matches!(p, "q=0" | "q=0.0"))
        })
    };
    match (takes("zstd"), takes("gzip")) {
        (true, _) => Coding::Zstd,
        (false, true) => Coding::Gzip,
        (false, false) => Coding::Identity,
    }
}

async fn answer(file: Arc<File>, headers: &HeaderMap) -> Response {
    let coding = if file.compresses() { accepted(headers) } else { Coding::Identity };
    let (suffix, name) = match coding {
        Coding::Identity => ("", None),
        Coding::Gzip => ("-gzip", Some("gzip")),
        Coding::Zstd => ("-zstd", Some("zstd")),
    };
    let etag = format!("\"{}{suffix}\"", file.etag);
    let cache = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if is_known(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let (file, kind) = (Arc::clone(&file), file.kind);
        // The first time it takes a while.
        let body = tokio::task::spawn_blocking(move || file.encoded(coding)).await.unwrap_or_default();
        ([(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
    };
    let out = response.headers_mut();
    if let (Some(name), true) = (name, out.contains_key(header::CONTENT_TYPE)) {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, etag);
    }
    response
}

/// Whether the client has it already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).unwrap_or_default();
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == etag || one == "*")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const SCRIPT: &[u8] = &[b'x'; 5000];

    fn app(base: &str) -> App {
        let page: &[u8] = b"<html><head><base href=\"/\" /></head></html>";
        App::new(&[("index.html", page), ("assets/a-1.js", SCRIPT), (".vite/manifest.json", b"{}")], base)
    }

    async fn ask(
        app: &App,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        let response = app.serve(&Method::GET, path, &headers).await;
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn files_are_files_and_every_other_address_is_the_page() {
        let app = app("/mon/");
        for path in ["/", "/d/x/y", "/explore", "/login", "/../etc/passwd", "/.vite/manifest.json"] {
            let (status, headers, body) = ask(&app, path, &[]).await;
            assert_eq!(status, 200, "{path}");
            assert_eq!(headers["cache-control"], "no-cache");
            assert!(String::from_utf8(body).unwrap().contains("<base href=\"/mon/\" />"), "{path}");
        }
        let (_, headers, body) = ask(&app, "/assets/a-1.js", &[]).await;
        assert_eq!(
            (&headers["content-type"], body.len()),
            (&HeaderValue::from_static("text/javascript; charset=utf-8"), 5000)
        );
        assert!(headers["cache-control"].to_str().unwrap().contains("immutable"));
        assert_eq!(ask(&app, "/assets/gone.js", &[]).await.0, 404);
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again_and_the_rest_is_compressed() {
        let app = app("/");
        let (_, headers, body) = ask(&app, "/assets/a-1.js", &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(headers["content-encoding"], "gzip");
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, SCRIPT);
        let etag = headers["etag"].to_str().unwrap().to_owned();
        let again = [("accept-encoding", "gzip"), ("if-none-match", etag.as_str())];
        let (status, _, body) = ask(&app, "/assets/a-1.js", &again).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
        let (_, headers, body) = ask(&app, "/assets/a-1.js", &[("accept-encoding", "gzip, zstd")]).await;
        assert_eq!(headers["content-encoding"], "zstd");
        assert_eq!(zstd::bulk::decompress(&body, 10_000).unwrap(), SCRIPT);
        assert_ne!(headers["etag"].to_str().unwrap(), etag);
    }

    #[tokio::test]
    async fn a_binary_without_the_app_says_how_to_build_it() {
        let (status, _, body) = ask(&App::new(&[], "/"), "/d/x", &[]).await;
        assert!(status == 200 && String::from_utf8(body).unwrap().contains("make build"));
    }
}
