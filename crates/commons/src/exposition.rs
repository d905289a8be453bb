//! The two text formats, and which of them a scraper wants.
//!
//! The encoder below us writes OpenMetrics 1.0. The older text format 0.0.4 is made from it line by line: metadata of
//! counters takes the name with `_total`, exemplars, units and the end mark go, whole bounds lose their `.0`.

use ::http::{HeaderMap, header::ACCEPT};

/// A format of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// The value of the `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that the `Accept` header asks for; text where it does not say, as for a person with curl.
    pub fn negotiate(headers: &HeaderMap) -> Self {
        let ranges =
            headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        let (mut open, mut text) = (0.0_f64, 0.0_f64);
        for (media, quality) in ranges.map(media_and_quality) {
            match media {
                "application/openmetrics-text" => open = open.max(quality),
                "text/plain" | "text/*" => text = text.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }
}

/// Splits one range of an `Accept` header (RFC 9110 12.5.1); a quality that is not a number counts as none.
fn media_and_quality(range: &str) -> (&str, f64) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or("");
    let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
    (media, quality.unwrap_or(0.0))
}

/// Rewrites an OpenMetrics page as text format 0.0.4.
pub fn to_text_004(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            write_metadata(&mut out, name, kind, help.take());
        } else if !line.starts_with('#') {
            write_sample(&mut out, line);
        }
    }
    out
}

fn write_metadata(out: &mut String, name: &str, kind: &str, help: Option<(&str, &str)>) {
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        other => ("", other),
    };
    if let Some((_, help)) = help.filter(|(of, _)| *of == name) {
        out.extend(["# HELP ", name, suffix, " ", help, "\n"]);
    }
    out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
}

fn write_sample(out: &mut String, line: &str) {
    let (series, rest) = line.split_at(series_end(line));
    match bound(series) {
        Some((before, whole, after)) => out.extend([before, whole, after]),
        None => out.push_str(series),
    }
    out.push_str(rest.split_once(" # ").map_or(rest, |(value, _exemplar)| value));
    out.push('\n');
}

/// Finds a bucket bound that ends in `.0`: what stands before the `.0`, nothing, and what stands behind. A quote
/// inside another label's value is escaped, so `le="` behind `,` or `{` is always the label.
fn bound(series: &str) -> Option<(&str, &str, &str)> {
    const LE: &str = "le=\"";
    let at = series.find(",le=\"").or_else(|| series.find("{le=\""))? + 1 + LE.len();
    let end = at + series.get(at..)?.find('"')?;
    let whole = series.get(at..end)?.strip_suffix(".0")?;
    Some((series.get(..at)?, whole, series.get(end..)?))
}

/// Where the name and labels of a sample line end.
fn series_end(line: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.bytes().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'}' if !quoted => return at + usize::from(c == b'}'),
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn negotiated(accept: &'static str) -> Format {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Format::negotiate(&headers)
    }

    #[test]
    fn the_scraper_gets_the_format_it_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(negotiated(prometheus), Format::OpenMetrics);
        assert_eq!(negotiated("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Format::Text);
        assert_eq!(negotiated("text/plain;q=0.9, application/openmetrics-text;q=0.5"), Format::Text);
        assert_eq!(negotiated("application/openmetrics-text;q=0"), Format::Text);
        assert_eq!(negotiated("*/*"), Format::Text);
        assert_eq!(Format::negotiate(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn the_text_format_keeps_total_and_drops_what_it_does_not_know() {
        let open = concat!(
            "# HELP a Help of a.\n# TYPE a counter\n",
            "a_total{x=\"y # {z} \\\" ,le=\\\"1.0\"} 3 # {trace_id=\"1\"} 1 2.5\n",
            "# HELP h Help.\n# TYPE h histogram\n",
            "h_bucket{s=\"t\",le=\"1.0\",r=\"u\"} 2\nh_bucket{s=\"t\",le=\"0.5\",r=\"u\"} 1 # {trace_id=\"2\"} 0.1\n",
            "# TYPE g_bytes gauge\n# UNIT g_bytes bytes\ng_bytes 1.5\n# EOF\n",
        );
        let text = concat!(
            "# HELP a_total Help of a.\n# TYPE a_total counter\n",
            "a_total{x=\"y # {z} \\\" ,le=\\\"1.0\"} 3\n",
            "# HELP h Help.\n# TYPE h histogram\n",
            "h_bucket{s=\"t\",le=\"1\",r=\"u\"} 2\nh_bucket{s=\"t\",le=\"0.5\",r=\"u\"} 1\n",
            "# TYPE g_bytes gauge\ng_bytes 1.5\n",
        );
        assert_eq!(to_text_004(open), text);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_page_makes_the_rewriting_panic(page in "[a-z{}\"\\\\# =,.0-9\\n]{0,80}") {
            to_text_004(&page);
        }
    }
}
