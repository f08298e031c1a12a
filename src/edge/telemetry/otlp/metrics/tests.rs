use super::*;
use crate::edge::telemetry::Metrics;
use crate::edge::telemetry::otlp::proto::any_value::Value;
use crate::engine::exchange::Record;
use crate::engine::exchange::record::Way;
use crate::engine::mcp::{Method, Version};
use std::time::Duration;

fn mk_points() -> Vec<Metric> {
    let metrics = Metrics::new();
    let call = |error: Option<i32>| Record {
        method: Some("tools/call".into()),
        known: Some(Method::ToolsCall),
        upstream: Some("a\"b".into()),
        way: Way::Forward,
        status: 200,
        code: error,
        version: Some(Version::V2025_11_25),
        ..Record::default()
    };
    metrics.record(&call(None), Duration::from_millis(15));
    metrics.record(&call(None), Duration::from_millis(700));
    metrics.record(&call(None), Duration::from_secs(1000));
    metrics.record(&call(Some(-31010)), Duration::from_secs(1));
    points(&metrics.encode(), SystemTime::now() + Duration::from_secs(1))
}

fn find<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let found = metrics.iter().find(|metric| metric.name == name);
    found.unwrap_or_else(|| {
        panic!(
            "no {name} in {:?}",
            metrics.iter().map(|metric| &metric.name).collect::<Vec<_>>()
        )
    })
}

fn said(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    let text = |attribute: &'_ KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.as_str().to_owned(),
        _ => String::new(),
    };
    attributes
        .iter()
        .map(|attribute| (attribute.key.as_str(), &*text(attribute).leak()))
        .collect()
}

#[test]
fn durations_have_the_names_of_the_conventions() {
    let metrics = mk_points();
    let calls = find(&metrics, "mcp.server.operation.duration");
    assert_eq!(calls.unit, "s");
    let Some(Data::Histogram(histogram)) = &calls.data else {
        panic!("a histogram")
    };
    assert_eq!(histogram.aggregation_temporality, i32::from(Temporality::Cumulative));
    let [good, bad] = histogram.data_points.as_slice() else {
        panic!("two sets")
    };
    let (good, bad) = if good.count == 3 { (good, bad) } else { (bad, good) };
    assert_eq!(
        said(&good.attributes),
        [
            ("mcp.method.name", "tools/call"),
            ("mcp.protocol.version", "2025-11-25"),
            ("network.transport", "tcp"),
            ("network.protocol.name", "http"),
            ("gen_ai.operation.name", "execute_tool"),
        ]
    );
    for pair in [("error.type", "-31010"), ("rpc.response.status_code", "-31010")] {
        assert!(said(&bad.attributes).contains(&pair), "{pair:?}");
    }
    assert_eq!(good.explicit_bounds.len(), 14, "the conventions' buckets");
    assert_eq!(good.bucket_counts.len(), 15, "and what is beyond them");
    assert_eq!(good.bucket_counts.iter().sum::<u64>(), good.count);
    assert_eq!(
        (good.bucket_counts[1], good.bucket_counts[6], good.bucket_counts[14]),
        (1, 1, 1)
    );
    assert!(good.sum.is_some_and(|sum| (sum - 1000.715).abs() < 1e-6));
    assert!(good.start_time_unix_nano > 0 && good.start_time_unix_nano < good.time_unix_nano);
    let asked = find(&metrics, "mcp.client.operation.duration");
    let Some(Data::Histogram(histogram)) = &asked.data else {
        panic!("a histogram")
    };
    assert!(said(&histogram.data_points[0].attributes).contains(&("upstream", "a\"b")));
}

#[test]
fn what_is_ours_is_under_our_name() {
    let metrics = mk_points();
    let exchanges = find(&metrics, "mcp.manifold.exchanges");
    let Some(Data::Sum(sum)) = &exchanges.data else {
        panic!("a sum")
    };
    assert!(sum.is_monotonic);
    let forwards = sum
        .data_points
        .iter()
        .find(|point| said(&point.attributes) == [("way", "forward")]);
    assert!(forwards.is_some_and(|point| (point.as_double - 4.0).abs() < f64::EPSILON));
    assert!(matches!(
        find(&metrics, "mcp.manifold.sessions").data,
        Some(Data::Gauge(_))
    ));
    assert!(metrics.iter().all(|metric| metric.name != "process.start.time"));
}
