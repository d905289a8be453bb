//! Formats that a scrape may ask for.

use serde::Serialize;

use super::yaml::Invalid;

/// A format of exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ScrapeProtocol {
    /// Protobuf messages with lengths before them.
    PrometheusProto,
    /// Text 0.0.4.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText0_0_4,
    /// Text 1.0.0 (quoted names).
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText1_0_0,
    /// OpenMetrics 0.0.1.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText0_0_1,
    /// OpenMetrics 1.0.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText1_0_0,
}

impl ScrapeProtocol {
    /// All of them, sorted by name.
    pub const ALL: [ScrapeProtocol; 5] = [
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::PrometheusText0_0_4,
        ScrapeProtocol::PrometheusText1_0_0,
    ];

    /// What is asked for if nothing is configured, best first.
    pub const DEFAULT: [ScrapeProtocol; 4] = [
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::PrometheusText0_0_4,
    ];

    /// What is asked for if native histograms are wanted, best first.
    pub const PROTO_FIRST: [ScrapeProtocol; 5] = [
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::PrometheusText0_0_4,
    ];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => "PrometheusProto",
            ScrapeProtocol::PrometheusText0_0_4 => "PrometheusText0.0.4",
            ScrapeProtocol::PrometheusText1_0_0 => "PrometheusText1.0.0",
            ScrapeProtocol::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            ScrapeProtocol::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// The media type, with its parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            ScrapeProtocol::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            ScrapeProtocol::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            ScrapeProtocol::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            ScrapeProtocol::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|p| p.as_str() == name).ok_or_else(|| {
            let supported = Self::ALL.map(ScrapeProtocol::as_str).join(" ");
            Invalid::new(format!("unknown scrape protocol {name}, supported: [{supported}]"))
        })
    }
}

/// Checks a list as it is written; `scope` ends the error's text.
pub(crate) fn list(names: Option<Vec<String>>, scope: &str) -> Result<Option<Vec<ScrapeProtocol>>, Invalid> {
    let Some(names) = names else { return Ok(None) };
    let fail = |text: String| Invalid::new(format!("{text} {scope}")).within("scrape_protocols", None);
    if names.is_empty() {
        return Err(fail("scrape_protocols cannot be empty".to_owned()));
    }
    let mut out = Vec::new();
    for name in &names {
        let p = ScrapeProtocol::parse(name).map_err(|e| fail(format!("scrape_protocols: {}", e.reason)))?;
        if out.contains(&p) {
            return Err(fail(format!("duplicated protocol in scrape_protocols, got [{}]", names.join(" "))));
        }
        out.push(p);
    }
    Ok(Some(out))
}
