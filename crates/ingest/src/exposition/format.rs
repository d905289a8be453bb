//! Which format a page has.

use thiserror::Error;

/// A format in which metrics are exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpositionFormat {
    /// Prometheus text 0.0.4 (also 1.0.0, which adds quoted names).
    Text,
    /// OpenMetrics 1.0 (also 0.0.1).
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

/// Why the format of a page is not known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ContentTypeError {
    /// The target says nothing.
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    )]
    Blank,
    /// The target says something else.
    #[error("received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for target")]
    Unsupported(String),
}

impl ExpositionFormat {
    /// The format that a Content-Type names; where it names none that is known, the fallback of the configuration.
    pub fn of_content_type(
        content_type: &str,
        fallback: Option<ExpositionFormat>,
    ) -> Result<Self, ContentTypeError> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        if media.is_empty() {
            return fallback.ok_or(ContentTypeError::Blank);
        }
        match media.to_ascii_lowercase().as_str() {
            "text/plain" => Ok(ExpositionFormat::Text),
            "application/openmetrics-text" => Ok(ExpositionFormat::OpenMetrics),
            "application/vnd.google.protobuf" => Ok(ExpositionFormat::Protobuf),
            _ => fallback.ok_or_else(|| ContentTypeError::Unsupported(content_type.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_decides_and_the_fallback_helps_out() {
        let of = ExpositionFormat::of_content_type;
        assert_eq!(of("text/plain; version=0.0.4; charset=utf-8", None), Ok(ExpositionFormat::Text));
        assert_eq!(of("Application/OpenMetrics-Text;version=1.0.0", None), Ok(ExpositionFormat::OpenMetrics));
        assert_eq!(of("application/vnd.google.protobuf; proto=x", None), Ok(ExpositionFormat::Protobuf));
        assert_eq!(of("", None), Err(ContentTypeError::Blank));
        assert_eq!(of("", Some(ExpositionFormat::Text)), Ok(ExpositionFormat::Text));
        assert!(of("text/html", None).is_err());
        assert_eq!(of("text/html", Some(ExpositionFormat::Text)), Ok(ExpositionFormat::Text));
    }
}
