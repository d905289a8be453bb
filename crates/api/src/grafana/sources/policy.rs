//! What may be asked of a data source through us, and by whom: its own API has no users.

use axum::http::Method;

use crate::grafana::accounts::model::OrgRole;

/// Why a path is not passed on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::grafana) struct BadPath;

/// The segments of a raw path below a data source, decoded for a look. A path that could be read in two ways is refused: with dots
/// that lead upwards, slashes and backslashes in disguise, or control characters.
pub(in crate::grafana) fn segments(path: &str) -> Result<Vec<String>, BadPath> {
    if path.len() > 4096 {
        return Err(BadPath);
    }
    let parts: Vec<&str> = path.split('/').collect();
    let last = parts.len() - 1;
    let mut out = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        let decoded = decode(part).ok_or(BadPath)?;
        let dots = decoded == "." || decoded == "..";
        let disguised = decoded.contains(['/', '\\', '%', '?', '#']) || decoded.contains(char::is_control);
        // Nothing between two slashes; at the end it is a folder's name as people write it.
        if dots || disguised || decoded.is_empty() && i != last {
            return Err(BadPath);
        }
        if !decoded.is_empty() {
            out.push(decoded);
        }
    }
    Ok(out)
}

fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'%' {
            let digits = text.get(i + 1..i + 3)?;
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            out.push(u8::from_str_radix(digits, 16).ok()?);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// The role that somebody needs to send `method` to the path with these segments of a data source of `kind`. Reading is for
/// everybody who may see a panel; what is not known to only read is for administrators.
pub(in crate::grafana) fn role_for(kind: &str, method: &Method, segments: &[String]) -> OrgRole {
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    // Queries are posted where they are long.
    let asks = reads || *method == Method::POST;
    let (asks_only, viewer) = match kind {
        "prometheus" => (asks, prometheus(&path, reads)),
        "loki" => (asks, loki(&path, reads)),
        "tempo" => (asks, tempo(&path, reads)),
        "alertmanager" => return alertmanager(&path, method),
        _ if reads => return OrgRole::Viewer,
        _ if *method == Method::POST => return OrgRole::Editor,
        _ => return OrgRole::Admin,
    };
    if asks_only && viewer { OrgRole::Viewer } else { OrgRole::Admin }
}

fn prometheus(path: &[&str], reads: bool) -> bool {
    match path {
        ["api", "v1", rest @ ..] => match rest {
            [
                "query" | "query_range" | "query_exemplars" | "series" | "labels" | "format_query"
                | "parse_query",
            ] => true,
            ["label", _, "values"] => reads,
            ["status", ..] => reads && rest.last() != Some(&"kill"),
            [
                "metadata" | "rules" | "alerts" | "targets" | "alertmanagers" | "scrape_pools"
                | "notifications" | "features",
            ] => reads,
            ["targets", "metadata"] => reads,
            // It asks only, though it is posted; what it may cost is bounded.
            ["rules", "backtest"] => true,
            _ => false,
        },
        ["-", "healthy" | "ready"] => reads,
        _ => false,
    }
}

fn loki(path: &[&str], reads: bool) -> bool {
    match path {
        ["loki", "api", "v1", rest @ ..] => match rest {
            ["query" | "query_range" | "labels" | "label" | "series" | "format_query" | "patterns"] => true,
            ["detected_labels" | "detected_fields" | "drilldown-limits"] => true,
            ["detected_field" | "label", _, "values"] => true,
            ["index", "stats" | "volume" | "volume_range"] => true,
            ["tail"] | ["rules", ..] => reads,
            ["status", what] => reads && *what != "kill",
            _ => false,
        },
        ["api", "prom", "query" | "label" | "series"] | ["api", "prom", "label", _, "values"] => true,
        ["api", "prom", "tail"]
        | ["api", "prom", "rules", ..]
        | ["prometheus", "api", "v1", "rules" | "alerts"] => reads,
        ["ready"] => reads,
        _ => false,
    }
}

fn tempo(path: &[&str], reads: bool) -> bool {
    match path {
        ["api", "traces" | "search" | "echo" | "metrics", ..] | ["api", "v2", "traces" | "search", ..] => {
            reads
        }
        ["api", "status", ..] | ["status", "buildinfo"] | ["ready"] => reads,
        _ => false,
    }
}

fn alertmanager(path: &[&str], method: &Method) -> OrgRole {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match path {
        ["-", "healthy" | "ready"] | ["api", "v2", ..] if reads => OrgRole::Viewer,
        ["api", "v2", "silences"] if *method == Method::POST => OrgRole::Editor,
        ["api", "v2", "silence", _] if *method == Method::DELETE => OrgRole::Editor,
        // It renders, and sends nothing.
        ["api", "v2", "reba", "preview"] if *method == Method::POST => OrgRole::Viewer,
        // A marked test message goes out.
        ["api", "v2", "reba", "test"] if *method == Method::POST => OrgRole::Editor,
        ["api", "v2", "reba", "recurring"] if *method == Method::POST => OrgRole::Editor,
        ["api", "v2", "reba", "recurring", _] if *method == Method::DELETE => OrgRole::Editor,
        _ => OrgRole::Admin,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_could_mean_another_place_are_refused() {
        for path in [
            "../x",
            "a/../b",
            "a/%2e%2e/b",
            "a/.%2E",
            "a%2fb",
            "a%5cb",
            "a\\b",
            "a//b",
            "/a",
            "%",
            "%4",
            "%zz",
            "%00",
            "a%0d%0ab",
            "%25%32%65",
            "%ff",
        ] {
            assert_eq!(segments(path), Err(BadPath), "{path}");
        }
        assert_eq!(segments("api/v1/label/a%20b/values").unwrap()[3], "a b");
        assert_eq!(segments("api/v1/").unwrap(), ["api", "v1"]);
        assert!(segments("").unwrap().is_empty());
    }

    #[test]
    fn reading_is_for_viewers_and_the_rest_for_those_who_may_change_it() {
        use OrgRole::{Admin, Editor, Viewer};
        for (kind, method, path, role) in [
            ("prometheus", "GET", "api/v1/query", Viewer),
            ("prometheus", "POST", "api/v1/query_range", Viewer),
            ("prometheus", "GET", "api/v1/status/config", Viewer),
            ("prometheus", "POST", "api/v1/rules/backtest", Viewer),
            ("prometheus", "DELETE", "api/v1/rules/backtest", Admin),
            ("prometheus", "POST", "-/quit", Admin),
            ("prometheus", "PUT", "-/reload", Admin),
            ("prometheus", "POST", "api/v1/admin/tsdb/delete_series", Admin),
            ("prometheus", "POST", "api/v1/write", Admin),
            ("prometheus", "DELETE", "api/v1/query", Admin),
            ("loki", "GET", "loki/api/v1/tail", Viewer),
            ("loki", "POST", "loki/api/v1/query_range", Viewer),
            ("loki", "POST", "loki/api/v1/push", Admin),
            ("loki", "GET", "flush", Admin),
            ("loki", "GET", "ingester/shutdown", Admin),
            ("loki", "POST", "loki/api/v1/delete", Admin),
            ("tempo", "GET", "api/traces/abc", Viewer),
            ("tempo", "POST", "api/traces", Admin),
            ("tempo", "GET", "flush", Admin),
            ("alertmanager", "GET", "api/v2/alerts", Viewer),
            ("alertmanager", "POST", "api/v2/silences", Editor),
            ("alertmanager", "DELETE", "api/v2/silence/x", Editor),
            ("alertmanager", "POST", "api/v2/reba/preview", Viewer),
            ("alertmanager", "POST", "api/v2/reba/test", Editor),
            ("alertmanager", "DELETE", "api/v2/reba/test", Admin),
            ("alertmanager", "POST", "api/v2/reba/recurring", Editor),
            ("alertmanager", "DELETE", "api/v2/reba/recurring/x", Editor),
            ("alertmanager", "POST", "api/v2/alerts", Admin),
            ("alertmanager", "POST", "-/reload", Admin),
            ("mysql", "GET", "x", Viewer),
            ("mysql", "DELETE", "x", Admin),
        ] {
            let method: Method = method.parse().unwrap();
            assert_eq!(role_for(kind, &method, &segments(path).unwrap()), role, "{kind} {method} {path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_passes_holds_no_way_up(path in "[a./%2eE5cf\\\\é]{0,20}") {
            if let Ok(segments) = segments(&path) {
                prop_assert!(segments.iter().all(|s| s != ".." && s != "." && !s.contains(['/', '\\'])));
            }
        }
    }
}
