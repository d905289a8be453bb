//! `/v1/logs`, `/v1/metrics`, `/v1/traces`.

use std::sync::{Arc, Once};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use reba_ingest::otlp::body::Encoding;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::{Failure, OtlpApi, Payload};
use crate::server::Peer;

/// What the headers say of a body.
pub(crate) struct Head {
    /// Its encoding, and that of the answer.
    pub(crate) encoding: Encoding,
    /// How it is compressed.
    pub(crate) compression: String,
}

impl Head {
    /// Reads the headers; or the answer that says what is wrong with them.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Box<Response>> {
        let text = |name: HeaderName| {
            headers.get(name).map_or(String::new(), |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let encoding = Encoding::of(&text(header::CONTENT_TYPE)).map_err(|e| {
            // In plain text: nobody knows what the sender could read.
            Box::new((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{e}\n")).into_response())
        })?;
        Ok(Head { encoding, compression: text(header::CONTENT_ENCODING) })
    }

    /// The answer.
    pub(crate) fn answer(encoding: Encoding, result: Result<Vec<u8>, Failure>) -> Response {
        match result {
            Ok(body) => ([(header::CONTENT_TYPE, encoding.content_type())], body).into_response(),
            Err(failure) => failure.over_http(encoding),
        }
    }
}

/// The routes.
pub fn router(api: Arc<OtlpApi>) -> Router {
    let export = |payload| {
        post(async move |State(api): State<Arc<OtlpApi>>, request: Request| {
            export(&api, payload, request).await.unwrap_or_else(|refusal| *refusal)
        })
    };
    let told = Arc::new(Once::new());
    let at_the_root = post(async move |State(api): State<Arc<OtlpApi>>, request: Request| {
        at_the_root(&api, &told, request).await
    });
    // Encodings of OTLP are none that a page may send without being asked, so this keeps out pages from elsewhere.
    let trusted = api.cors_origin.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            trusted.is_match(origin.to_str().unwrap_or(""))
        }))
        .allow_methods([Method::POST])
        .allow_headers(AllowHeaders::mirror_request());
    Router::new()
        .route("/v1/logs", export(Payload::Logs))
        .route("/v1/metrics", export(Payload::Metrics))
        .route("/v1/traces", export(Payload::Traces))
        // SDKs of traces that were given the bare address as that of the signal.
        .route("/", at_the_root.clone())
        .route("/v1", at_the_root)
        .layer(cors)
        .with_state(api)
}

/// Takes traces where no signal has its place; says so once.
async fn at_the_root(api: &OtlpApi, told: &Once, request: Request) -> Response {
    told.call_once(|| {
        let (path, from) = (request.uri().path(), request.extensions().get::<Peer>().map(|peer| peer.0));
        tracing::warn!(
            path,
            ?from,
            "OTLP is posted to the bare address and taken as traces: /v1/traces is meant"
        );
    });
    export(api, Payload::Traces, request).await.unwrap_or_else(|refusal| *refusal)
}

async fn export(api: &OtlpApi, payload: Payload, request: Request) -> Result<Response, Box<Response>> {
    let Head { encoding, compression } = Head::of(request.headers())?;
    let result = match api.destination(payload, request.headers()) {
        Ok(to) => {
            let work = move |body: &[u8]| (to.store)(encoding, &compression, body);
            api.take(request.into_body(), to.most, work).await
        }
        Err(failure) => Err(failure),
    };
    Ok(Head::answer(encoding, result))
}
