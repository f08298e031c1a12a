use super::*;
use crate::engine::mcp::{Method, Version};
use crate::engine::session::past::{Ending, Past};
use crate::engine::status::{IssuerStatus, Reason, UpstreamStatus};

fn mk_call() -> Record {
    Record {
        method: Some("tools/call".into()),
        known: Some(Method::ToolsCall),
        era: Some(Era::Legacy),
        way: Way::Forward,
        status: 200,
        ..Record::default()
    }
}

fn mk_upstream(name: &str, ready: bool, tools: usize) -> UpstreamStatus {
    UpstreamStatus {
        name: name.into(),
        prefix: String::new(),
        url: String::new(),
        enabled: true,
        ready,
        reason: Reason::Pending,
        eras: Vec::new(),
        protocol_version: None,
        tools,
        prompts: 0,
        resources: 0,
        last_listed: None,
        last_error: None,
        warnings: Vec::new(),
    }
}

fn mk_status(upstreams: Vec<UpstreamStatus>) -> GatewayStatus {
    GatewayStatus {
        version: "0".into(),
        ready: true,
        generation: 7,
        sessions: 12,
        config_error: None,
        state_errors: Vec::new(),
        upstreams,
        issuers: Vec::new(),
    }
}

#[track_caller]
fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "no {line} in\n{text}");
}

#[test]
fn a_call_is_counted_and_timed_under_its_method() {
    let metrics = Metrics::new();
    metrics.record(&mk_call(), Duration::from_millis(15));
    metrics.record(&mk_call(), Duration::from_millis(5));
    let text = metrics.encode();
    let labels = r#"mcp_method_name="tools/call",error_type="""#;
    assert_has(
        &text,
        &format!("mcp_server_operation_duration_seconds_count{{{labels}}} 2"),
    );
    assert_has(
        &text,
        &format!(r#"mcp_server_operation_duration_seconds_bucket{{le="0.01",{labels}}} 1"#),
    );
    assert_has(&text, r#"mcp_manifold_exchanges_total{way="forward",era="legacy"} 2"#);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_method_that_nobody_knows_makes_no_label_of_its_own() {
    let metrics = Metrics::new();
    let record = Record {
        method: Some("evil/1".into()),
        known: None,
        way: Way::Reject,
        reason: Some("unknown_method"),
        code: Some(-32601),
        ..Record::default()
    };
    metrics.record(&record, Duration::ZERO);
    let text = metrics.encode();
    assert!(!text.contains("evil"));
    assert_has(
        &text,
        r#"mcp_server_operation_duration_seconds_count{mcp_method_name="other",error_type=""} 1"#,
    );
    assert_has(&text, r#"mcp_manifold_rejects_total{reason="unknown_method"} 1"#);
}

#[test]
fn errors_have_a_type_unless_the_caller_is_at_fault() {
    for (code, status, expected) in [
        (None, 200, ""),
        (None, 404, ""),
        (None, 502, "5xx"),
        (Some(-32602), 200, ""),
        (Some(-31010), 200, "-31010"),
        (Some(-31013), 200, "-31013"),
        (Some(-32001), 404, "-32001"),
        (Some(-1), 200, "_OTHER"),
    ] {
        let record = Record {
            code,
            status,
            ..mk_call()
        };
        let metrics = Metrics::new();
        metrics.record(&record, Duration::ZERO);
        let labels = format!(r#"mcp_method_name="tools/call",error_type="{expected}""#);
        assert_has(
            &metrics.encode(),
            &format!("mcp_server_operation_duration_seconds_count{{{labels}}} 1"),
        );
    }
}

#[test]
fn a_call_bears_the_name_of_a_tool_that_is_listed_and_whether_it_failed() {
    let metrics = Metrics::new();
    let call = Record {
        tool: Some("github_search".into()),
        listed: true,
        ..mk_call()
    };
    metrics.record(&call, Duration::ZERO);
    let failed = Record {
        is_error: Some(true),
        ..call.clone()
    };
    metrics.record(&failed, Duration::ZERO);
    let made_up = Record {
        tool: Some("made up".into()),
        ..mk_call()
    };
    metrics.record(&made_up, Duration::ZERO);
    let text = metrics.encode();
    for labels in [
        r#"mcp_method_name="tools/call",error_type="",gen_ai_tool_name="github_search""#,
        r#"mcp_method_name="tools/call",error_type="tool_error",gen_ai_tool_name="github_search""#,
        r#"mcp_method_name="tools/call",error_type="""#,
    ] {
        assert_has(
            &text,
            &format!("mcp_server_operation_duration_seconds_count{{{labels}}} 1"),
        );
    }
    assert!(!text.contains("made up"), "a name that nobody lists is no label");
}

#[test]
fn each_side_of_a_call_says_which_revision_it_speaks() {
    let metrics = Metrics::new();
    let call = Record {
        version: Some(Version::V2025_11_25),
        spoken: Some(Version::V2026_07_28),
        upstream: Some("github".into()),
        ..mk_call()
    };
    metrics.record(&call, Duration::ZERO);
    let other = Record {
        version: Some(Version::V2025_06_18),
        ..mk_call()
    };
    metrics.record(&other, Duration::ZERO);
    let text = metrics.encode();
    for (side, labels) in [
        ("server", r#"mcp_protocol_version="2025-11-25""#),
        ("server", r#"mcp_protocol_version="2025-06-18""#),
        ("client", r#"upstream="github",mcp_protocol_version="2026-07-28""#),
    ] {
        let labels = format!(r#"mcp_method_name="tools/call",error_type="",{labels}"#);
        assert_has(
            &text,
            &format!("mcp_{side}_operation_duration_seconds_count{{{labels}}} 1"),
        );
    }
}

#[test]
fn sessions_that_are_over_have_lasted() {
    let metrics = Metrics::new();
    let durations = metrics.session_durations();
    let closed = Past {
        version: Version::V2025_06_18,
        lasted: Duration::from_millis(1_500),
        ending: Ending::Closed,
    };
    durations.observe(closed);
    durations.observe_at("github", closed);
    let lost = Past {
        ending: Ending::Lost,
        ..closed
    };
    durations.observe_at("github", lost);
    let text = metrics.encode();
    assert_has(
        &text,
        r#"mcp_server_session_duration_seconds_sum{mcp_protocol_version="2025-06-18"} 1.5"#,
    );
    for error in ["", "session_lost"] {
        let labels = format!(r#"error_type="{error}",upstream="github",mcp_protocol_version="2025-06-18""#);
        assert_has(
            &text,
            &format!("mcp_client_session_duration_seconds_count{{{labels}}} 1"),
        );
    }
}

#[test]
fn an_undecided_exchange_has_no_duration() {
    let metrics = Metrics::new();
    metrics.record(&Record::default(), Duration::ZERO);
    let text = metrics.encode();
    assert_has(&text, r#"mcp_manifold_exchanges_total{way="undecided",era=""} 1"#);
    assert!(!text.contains("mcp_server_operation_duration_seconds_count{"));
}

#[test]
fn every_method_has_its_own_place() {
    let metrics = Metrics::new();
    for method in Method::ALL {
        let record = Record {
            known: Some(method),
            ..mk_call()
        };
        metrics.record(&record, Duration::ZERO);
    }
    let text = metrics.encode();
    for method in Method::ALL {
        let labels = format!(r#"mcp_method_name="{}",error_type="""#, method.as_str());
        assert_has(
            &text,
            &format!("mcp_server_operation_duration_seconds_count{{{labels}}} 1"),
        );
    }
}

#[test]
fn upstreams_are_those_of_the_last_status() {
    let metrics = Metrics::new();
    metrics.observe(&mk_status(vec![mk_upstream("gone", true, 1)]), 0);
    metrics.observe(
        &mk_status(vec![mk_upstream("a", true, 26), mk_upstream("b", false, 0)]),
        4096,
    );
    let text = metrics.encode();
    assert_has(&text, r#"mcp_manifold_upstream_ready{upstream="a"} 1"#);
    assert_has(&text, r#"mcp_manifold_upstream_ready{upstream="b"} 0"#);
    assert_has(&text, r#"mcp_manifold_state_write_failing{part="sessions"} 0"#);
    assert_has(&text, r#"mcp_manifold_upstream_tools{upstream="a"} 26"#);
    assert_has(&text, "mcp_manifold_sessions 12");
    assert_has(&text, "mcp_manifold_snapshot_generation 7");
    assert_has(&text, "mcp_manifold_body_bytes_held 4096");
    assert!(!text.contains("gone"));
}

#[test]
fn a_replay_is_counted() {
    let metrics = Metrics::new();
    metrics.record(
        &Record {
            replayed: true,
            ..mk_call()
        },
        Duration::ZERO,
    );
    assert_has(&metrics.encode(), "mcp_manifold_replays_total 1");
}

#[test]
fn the_build_and_the_start_are_told() {
    let text = Metrics::new().encode();
    assert!(text.contains("mcp_manifold_build_info{version="), "{text}");
    assert!(text.contains("process_start_time_seconds "), "{text}");
}

#[test]
fn what_is_asked_of_an_upstream_is_counted_under_its_name() {
    let metrics = Metrics::new();
    let of = |way, code| Record {
        way,
        code,
        upstream: Some("github".into()),
        ..mk_call()
    };
    metrics.record(&of(Way::Forward, None), Duration::ZERO);
    metrics.record(&of(Way::Reject, Some(-31013)), Duration::ZERO);
    metrics.record(&of(Way::Reject, Some(-31011)), Duration::ZERO);
    let text = metrics.encode();
    let count = |error: &str, number: u32| {
        let labels = format!(r#"mcp_method_name="tools/call",error_type="{error}",upstream="github""#);
        format!("mcp_client_operation_duration_seconds_count{{{labels}}} {number}")
    };
    assert_has(&text, &count("", 1));
    assert_has(&text, &count("-31013", 1));
    assert!(
        !text.contains(r#"error_type="-31011",upstream"#),
        "it was not asked:\n{text}"
    );
}

/// What Prometheus and Grafana are to ask for (deploy/observability) is what there is.
#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let metrics = Metrics::new();
    let record = Record {
        way: Way::Reject,
        code: Some(-31013),
        reason: Some("timed_out"),
        upstream: Some("a".into()),
        ..mk_call()
    };
    metrics.record(&record, Duration::ZERO);
    let status = GatewayStatus {
        issuers: vec![IssuerStatus {
            issuer: "https://idp".into(),
            usable: true,
            keys: 1,
            last_fetched: Some("2026-11-20T10:00:00Z".into()),
            failures: 0,
            last_error: None,
        }],
        ..mk_status(vec![mk_upstream("a", true, 1)])
    };
    metrics.observe(&status, 0);
    let past = Past {
        version: Version::NEWEST_LEGACY,
        lasted: Duration::ZERO,
        ending: Ending::Closed,
    };
    metrics.session_durations().observe(past);
    metrics.session_durations().observe_at("a", past);
    let text = metrics.encode();
    assert_has(
        &text,
        r#"mcp_manifold_jwks_last_fetched_timestamp_seconds{issuer="https://idp"} 1795168800.0"#,
    );
    let names = metric_names(include_str!("../../../../deploy/observability/alerts.yaml")).chain(metric_names(
        include_str!("../../../../deploy/observability/dashboard.json"),
    ));
    let mut seen = 0;
    for name in names {
        let exists = text.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
        assert!(exists, "{name} is not among\n{text}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} names were found");
}

/// Every word that begins like one of our metrics.
fn metric_names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| {
        word.starts_with("mcp_manifold_") || word.starts_with("mcp_server_") || word.starts_with("mcp_client_")
    })
}
