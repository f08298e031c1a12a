//! `telemetry:`: metrics and traces for a collector that speaks OTLP.

use super::file::{Findings, Sections};
use super::scalar::Span;
use super::{Authority, raw};
use crate::engine::mcp::trace::Ratio;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

const INTERVAL: Duration = Duration::from_secs(60);

/// What a collector gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// `http://host:port`, or `https`: OTLP over gRPC.
    pub otlp: Url,
    /// Whom TLS trusts; default: the system's roots.
    pub ca: Option<Authority>,
    /// How many of the traces that begin here are kept; 0: none. Whoever calls decides for its own.
    pub traces: Ratio,
    /// Metrics are sent.
    pub metrics: bool,
    /// How often.
    pub interval: Duration,
}

/// `telemetry:`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with otlp")]
struct RawTelemetry {
    otlp: String,
    ca: Option<raw::File>,
    traces: Option<f64>,
    metrics: Option<bool>,
    interval: Option<Span>,
}

/// Reads `telemetry:`.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Option<Telemetry> {
    let raw: RawTelemetry = sections.take("telemetry", findings)?;
    let traces = Ratio::new(raw.traces.unwrap_or(1.0)).unwrap_or_else(|| {
        findings.add("telemetry.traces", "must be from 0 to 1");
        Ratio::ALL
    });
    let interval = raw.interval.map_or(INTERVAL, |Span(interval)| {
        findings.above_zero("telemetry.interval", interval)
    });
    let ca = raw.ca.map(|ca| findings.file("telemetry.ca", &ca));
    match address(&raw.otlp) {
        Ok(otlp) if ca.is_some() && otlp.scheme() == "http" => {
            findings.add("telemetry.ca", "is for https, otlp says http");
            None
        }
        Ok(otlp) => Some(Telemetry {
            otlp,
            ca: ca.map(Authority::File),
            traces,
            metrics: raw.metrics.unwrap_or(true),
            interval,
        }),
        Err(message) => {
            findings.add("telemetry.otlp", message);
            None
        }
    }
}

fn address(text: &str) -> Result<Url, &'static str> {
    const FORM: &str = "must be http://host:port or https://host:port";
    let url = Url::parse(text).map_err(|_| FORM)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FORM);
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if bare && anonymous && url.host().is_some() && url.port_or_known_default().is_some() {
        Ok(url)
    } else {
        Err(FORM)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::config::tests::{assert_problems, mk_config};
    use crate::engine::mcp::trace::Ratio;
    use std::time::Duration;

    const ONE: &str = "\nupstreams: [{name: a, url: 'http://a.example/mcp'}]";

    #[test]
    fn an_address_is_enough() {
        let telemetry = mk_config(&format!("telemetry: {{ otlp: 'http://127.0.0.1:4317' }}{ONE}")).telemetry;
        let telemetry = telemetry.expect("given");
        assert_eq!(telemetry.otlp.as_str(), "http://127.0.0.1:4317/");
        assert_eq!((telemetry.traces, telemetry.metrics), (Ratio::ALL, true));
        assert_eq!(telemetry.interval, Duration::from_secs(60));
        let text = "telemetry: { otlp: 'http://otel:4317', traces: 0, metrics: false, interval: 5s }";
        let telemetry = mk_config(&format!("{text}{ONE}")).telemetry.expect("given");
        assert_eq!((telemetry.traces.is_none(), telemetry.metrics), (true, false));
        assert_eq!(telemetry.interval, Duration::from_secs(5));
        let text = "telemetry: { otlp: 'https://otel:4317', ca: { file: ca.pem } }";
        let telemetry = mk_config(&format!("{text}{ONE}")).telemetry.expect("given");
        assert!(
            telemetry
                .ca
                .is_some_and(|ca| ca.file().is_some_and(|file| file.ends_with("ca.pem")))
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (keys, problem) in [
            (
                "otlp: 'otel:4317'",
                "telemetry.otlp: must be http://host:port or https://host:port",
            ),
            (
                "otlp: 'http://otel:4317/v1/traces'",
                "telemetry.otlp: must be http://host:port or https://host:port",
            ),
            (
                "otlp: 'http://me:secret@otel:4317'",
                "telemetry.otlp: must be http://host:port or https://host:port",
            ),
            (
                "otlp: 'http://otel:4317', ca: { file: ca.pem }",
                "telemetry.ca: is for https, otlp says http",
            ),
            (
                "otlp: 'http://otel:4317', traces: 1.5",
                "telemetry.traces: must be from 0 to 1",
            ),
            (
                "otlp: 'http://otel:4317', traces: -1",
                "telemetry.traces: must be from 0 to 1",
            ),
            (
                "otlp: 'http://otel:4317', interval: 0s",
                "telemetry.interval: must be above 0",
            ),
        ] {
            assert_problems(&format!("telemetry: {{ {keys} }}{ONE}"), &[problem]);
        }
    }
}
