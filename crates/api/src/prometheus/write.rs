//! POST `/api/v1/write`: remote write 1.0 and 2.0.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use reba_ingest::remote_write::{RemoteWriteError, Written, WrittenInPart};

use super::PrometheusApi;
use crate::loki::Refusal;

/// Largest compressed body; what it expands to is the receiver's limit.
const MAX_BODY: usize = 32 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// `/api/v1/write`
pub async fn write(State(api): State<Arc<PrometheusApi>>, request: Request) -> Response {
    let version = match negotiate(request.headers()) {
        Ok(version) => version,
        Err(text) => return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response(),
    };
    let (receiver, now) = (Arc::clone(&api.receiver), api.now_ms());
    let work = move |body: &[u8]| match version {
        Version::V1 => match receiver.handle_v1(body, now) {
            Ok(_) => StatusCode::NO_CONTENT.into_response(),
            Err(e) => refusal(&e),
        },
        Version::V2 => answer_v2(receiver.handle_v2(body, now)),
    };
    api.take(request, work).await
}

impl PrometheusApi {
    /// Reads the body of a request that writes, and has `work` done with it on a thread that may wait for the write-ahead log. All
    /// bodies together are bounded; who finds no room is told to come again in the way that senders of samples heed: most of them
    /// drop what is answered with 429.
    pub(super) async fn take(
        &self,
        request: Request,
        work: impl FnOnce(&[u8]) -> Response + Send + 'static,
    ) -> Response {
        match self.intake.take(request.into_body(), MAX_BODY, |body| Ok(work(body))).await {
            Ok(answer) => answer,
            Err(full) if full.status == StatusCode::TOO_MANY_REQUESTS => {
                Refusal { status: StatusCode::SERVICE_UNAVAILABLE, ..full }.into_response()
            }
            Err(refusal) => refusal.into_response(),
        }
    }
}

/// Which message the headers announce. Senders of old set none, or not all.
fn negotiate(headers: &HeaderMap) -> Result<Version, String> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"snappy")
    {
        return Err(format!(
            "{:?} encoding (compression) is not accepted by this server; only snappy is acceptable\n",
            encoding.to_str().unwrap_or("")
        ));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Version::V1) };
    let text = value.to_str().unwrap_or("");
    let mut parts = text.split(';').map(str::trim);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf")) {
        return Err(format!(
            "expected application/x-protobuf as the first (media) part, got {text} content-type\n"
        ));
    }
    let mut version = Version::V1;
    for (name, value) in parts.filter_map(|p| p.split_once('=')) {
        if name.trim().eq_ignore_ascii_case("proto") {
            version = match value.trim().trim_matches('"') {
                "prometheus.WriteRequest" => Version::V1,
                "io.prometheus.write.v2.Request" => Version::V2,
                other => {
                    return Err(format!(
                        "{other} protobuf message is not accepted by this server; only prometheus.WriteRequest and \
                         io.prometheus.write.v2.Request are acceptable\n"
                    ));
                }
            };
        }
    }
    Ok(version)
}

fn refusal(error: &RemoteWriteError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, format!("{error}\n")).into_response()
}

/// Version 2.0 says how much was written, whatever became of the rest.
fn answer_v2(result: Result<WrittenInPart, RemoteWriteError>) -> Response {
    let (written, answer) = match result {
        Ok(done) => match done.refused.text() {
            None => (done.written, StatusCode::NO_CONTENT.into_response()),
            Some(text) => (done.written, (StatusCode::BAD_REQUEST, format!("{text}\n")).into_response()),
        },
        Err(e) => (Written::default(), refusal(&e)),
    };
    let counts = [
        ("x-prometheus-remote-write-samples-written", (written.samples - written.histograms).to_string()),
        ("x-prometheus-remote-write-histograms-written", written.histograms.to_string()),
        ("x-prometheus-remote-write-exemplars-written", written.exemplars.to_string()),
    ];
    (counts, answer).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(headers: &[(header::HeaderName, &str)]) -> Result<Version, String> {
        negotiate(&headers.iter().map(|(n, v)| (n.clone(), v.parse().unwrap())).collect())
    }

    #[test]
    fn the_content_type_names_the_message() {
        let with = |t: &str| version(&[(header::CONTENT_TYPE, t)]);
        assert_eq!(version(&[]), Ok(Version::V1));
        assert_eq!(with("application/x-protobuf"), Ok(Version::V1));
        assert_eq!(with("application/x-protobuf;proto=prometheus.WriteRequest"), Ok(Version::V1));
        assert_eq!(with("application/x-protobuf; proto=io.prometheus.write.v2.Request"), Ok(Version::V2));
        assert!(with("application/x-protobuf;proto=io.prometheus.write.v3.Request").is_err());
        assert!(with("application/json").is_err());
        assert!(with("").is_err());
    }

    #[test]
    fn only_snappy_is_taken() {
        assert_eq!(version(&[(header::CONTENT_ENCODING, "snappy")]), Ok(Version::V1));
        assert!(version(&[(header::CONTENT_ENCODING, "zstd")]).unwrap_err().contains("only snappy"));
    }
}
