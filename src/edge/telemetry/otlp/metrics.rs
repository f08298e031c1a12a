//! Metrics that Prometheus reads, as points of OTLP: the same numbers under the names of the semantic conventions. Pure.

use super::proto::metric::Data;
use super::proto::{Gauge, Histogram, HistogramPoint, KeyValue, Metric, NumberPoint, Sum, Temporality};
use super::span::{nanoseconds, text};
use super::text::{Family, Kind, Sample, families};
use std::time::SystemTime;

/// Since when everything is counted; no metric of OTLP.
const STARTED: &str = "process_start_time_seconds";

/// When points begin and end, in nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Window {
    start: u64,
    end: u64,
}

/// All metrics in this text.
pub(super) fn points(text: &str, now: SystemTime) -> Vec<Metric> {
    let families = families(text);
    let end = nanoseconds(now);
    let window = Window {
        start: started(&families).unwrap_or(end),
        end,
    };
    families.iter().filter_map(|family| metric(family, window)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time after 1970; a cast saturates"
)]
fn started(families: &[Family<'_>]) -> Option<u64> {
    let family = families.iter().find(|family| family.name == STARTED)?;
    Some((family.samples.first()?.value * 1e9) as u64)
}

fn metric(family: &Family<'_>, window: Window) -> Option<Metric> {
    if family.samples.is_empty() || family.name == STARTED {
        return None;
    }
    let numbers = || family.samples.iter().map(|sample| number(sample, window)).collect();
    let temporality = Temporality::Cumulative.into();
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: histogram(family, window),
            aggregation_temporality: temporality,
        }),
        Kind::Other => return None,
    };
    Some(Metric {
        name: name(family),
        description: family.help.to_owned(),
        unit: unit(family.unit).to_owned(),
        data: Some(data),
    })
}

/// Prometheus writes the unit into the name, and underscores for dots.
fn name(family: &Family<'_>) -> String {
    let name = family
        .name
        .strip_suffix(family.unit)
        .unwrap_or(family.name)
        .trim_end_matches('_');
    match name.strip_prefix("mcp_manifold_") {
        Some(own) => format!("mcp.manifold.{own}"),
        None => name.replace('_', "."),
    }
}

/// As UCUM has it.
fn unit(unit: &str) -> &str {
    match unit {
        "seconds" => "s",
        "bytes" => "By",
        "" => "1",
        other => other,
    }
}

/// What Prometheus is not told at each sample: it is always the same, or follows from the labels.
fn implied(labels: &[(&str, String)]) -> Vec<KeyValue> {
    let mut attributes = vec![text("network.transport", "tcp"), text("network.protocol.name", "http")];
    for (key, value) in labels {
        match (*key, value.as_str()) {
            ("mcp_method_name", "tools/call") => attributes.push(text("gen_ai.operation.name", "execute_tool")),
            ("error_type", code) if code.parse::<i32>().is_ok() => {
                attributes.push(text("rpc.response.status_code", code));
            }
            _ => {}
        }
    }
    attributes
}

/// Without labels that are empty, which count as none.
fn attributes<'a>(labels: &'a [(&str, String)]) -> impl Iterator<Item = KeyValue> + 'a {
    let said = labels.iter().filter(|(key, value)| *key != "le" && !value.is_empty());
    said.map(|(key, value)| match *key {
        "mcp_method_name" => text("mcp.method.name", value),
        "error_type" => text("error.type", value),
        "gen_ai_tool_name" => text("gen_ai.tool.name", value),
        "mcp_protocol_version" => text("mcp.protocol.version", value),
        other => text(other, value),
    })
}

fn number(sample: &Sample<'_>, window: Window) -> NumberPoint {
    NumberPoint {
        start_time_unix_nano: window.start,
        time_unix_nano: window.end,
        as_double: sample.value,
        attributes: attributes(&sample.labels).collect(),
    }
}

/// Counts in the text are of all values up to a bound, here of those between two.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts: whole, not below zero"
)]
fn histogram(family: &Family<'_>, window: Window) -> Vec<HistogramPoint> {
    let of_mcp = ["mcp_server_", "mcp_client_"]
        .iter()
        .any(|head| family.name.starts_with(head));
    let mut points: Vec<(HistogramPoint, u64)> = Vec::new();
    for sample in &family.samples {
        let mut attributes: Vec<KeyValue> = attributes(&sample.labels).collect();
        if of_mcp {
            attributes.extend(implied(&sample.labels));
        }
        // Samples of one point follow each other.
        let at = points.iter().rposition(|(point, _)| point.attributes == attributes);
        let at = at.unwrap_or_else(|| {
            let point = HistogramPoint {
                start_time_unix_nano: window.start,
                time_unix_nano: window.end,
                attributes,
                ..HistogramPoint::default()
            };
            points.push((point, 0));
            points.len() - 1
        });
        let Some((point, below)) = points.get_mut(at) else {
            continue;
        };
        match sample.suffix {
            "_sum" => point.sum = Some(sample.value),
            "_count" => point.count = sample.value as u64,
            "_bucket" => {
                let count = sample.value as u64;
                point.bucket_counts.push(count.saturating_sub(*below));
                *below = count;
                let bound = sample.labels.iter().find(|(key, _)| *key == "le");
                let bound: Option<f64> = bound.and_then(|(_, bound)| bound.parse().ok());
                point.explicit_bounds.extend(bound.filter(|bound| bound.is_finite()));
            }
            _ => {}
        }
    }
    points.into_iter().map(|(point, _)| point).collect()
}

#[cfg(test)]
mod tests;
