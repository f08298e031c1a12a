//! What differs between bootstraps, read back as YAML.

use super::*;
use crate::engine::config::file::parse;
use serde_json::{Value, json};

const UPSTREAMS: &str = "upstreams:\n- { name: a, url: 'http://a.example/mcp', timeout: { call: 70s } }\n";

fn mk_config(more: &str) -> Config {
    let text = format!("{UPSTREAMS}{more}");
    parse(&text, Path::new("/base"), Path::new("/state")).expect("the test's configuration is right")
}

fn mk_options(config: &Config) -> RenderOptions {
    RenderOptions {
        roots: Some("/roots.pem".into()),
        ..RenderOptions::new(config, "the-key".to_owned())
    }
}

fn rendered(config: &Config, options: &RenderOptions) -> Value {
    let text = render(config, options).expect("rendered");
    assert!(!text.contains("${"), "nothing is left open: {text}");
    serde_saphyr::from_str(&text).expect("it is YAML")
}

fn manager(bootstrap: &Value) -> &Value {
    &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

fn route<'a>(bootstrap: &'a Value, name: &str) -> &'a Value {
    let routes = &manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"];
    let routes = routes.as_array().expect("routes are a list");
    routes
        .iter()
        .find(|route| route["name"] == name)
        .expect("the route exists")
}

fn mode(place: &Value) -> &Value {
    &place["typed_per_filter_config"]["envoy.filters.http.ext_proc"]["overrides"]["processing_mode"]
}

#[test]
fn only_the_holder_of_the_key_reaches_an_upstream() {
    let config = mk_config("");
    let bootstrap = rendered(&config, &mk_options(&config));
    let out = route(&bootstrap, "upstream");
    assert_eq!(
        out["match"]["headers"],
        json!([{ "name": "x-mcp-route-key", "string_match": { "exact": "the-key" } }])
    );
    assert_eq!(out["route"]["cluster_header"], "x-mcp-upstream");
    for name in ["mcp-inspected", "mcp-post", "mcp-get", "mcp-other"] {
        let entry = route(&bootstrap, name);
        assert_eq!(
            entry["route"]["cluster_header"], "x-mcp-undecided",
            "{name} must lead nowhere"
        );
    }
}

#[test]
fn the_way_out_comes_first_because_the_path_is_the_upstreams_by_then() {
    let config = mk_config("");
    let bootstrap = rendered(&config, &mk_options(&config));
    let routes = &manager(&bootstrap)["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(
        (&routes[0]["name"], &routes[0]["match"]["prefix"]),
        (&json!("upstream"), &json!("/"))
    );
}

#[test]
fn response_headers_are_sent_by_the_virtual_host_and_not_by_the_filter() {
    let config = mk_config("");
    let bootstrap = rendered(&config, &mk_options(&config));
    let host = &manager(&bootstrap)["route_config"]["virtual_hosts"][0];
    assert_eq!(mode(host)["response_header_mode"], "SEND");
    let filter = &manager(&bootstrap)["http_filters"][0]["typed_config"]["processing_mode"];
    assert_eq!(filter["response_header_mode"], "SKIP");
    assert_eq!(filter["request_body_mode"], "FULL_DUPLEX_STREAMED");
}

#[test]
fn without_the_response_phase_the_route_keeps_the_deadline() {
    let (on, off) = (mk_config(""), mk_config("envoy: { responsePhase: false }\n"));
    let (on, off) = (rendered(&on, &mk_options(&on)), rendered(&off, &mk_options(&off)));
    for rendered in [&on, &off] {
        assert_eq!(
            route(rendered, "upstream")["route"]["timeout"],
            "0s",
            "an answer takes its time"
        );
    }
    assert!(route(&on, "upstream")["route"]["retry_policy"].is_null());
    assert_eq!(
        route(&off, "upstream")["route"]["retry_policy"]["per_try_timeout"],
        "70s"
    );
    let host = &manager(&off)["route_config"]["virtual_hosts"][0];
    assert_eq!(mode(host)["response_header_mode"], "SKIP");
}

#[test]
fn the_processor_has_30_seconds_more_than_the_longest_call() {
    let config = mk_config("");
    let bootstrap = rendered(&config, &mk_options(&config));
    assert_eq!(
        manager(&bootstrap)["http_filters"][0]["typed_config"]["message_timeout"],
        "100s"
    );
}

#[test]
fn buffered_bodies_are_limited_by_envoy_and_get_may_stream() {
    let config = mk_config("limits: { body: 1MiB }\n");
    let options = RenderOptions {
        body: BodyMode::Buffered,
        ..mk_options(&config)
    };
    let bootstrap = rendered(&config, &options);
    let listener = &bootstrap["static_resources"]["listeners"][0];
    assert_eq!(listener["per_connection_buffer_limit_bytes"], 1 << 20);
    let http2 = &manager(&bootstrap)["http2_protocol_options"];
    assert_eq!(
        http2["initial_stream_window_size"],
        1 << 20,
        "the limit of an HTTP/2 request"
    );
    let host = &manager(&bootstrap)["route_config"]["virtual_hosts"][0];
    assert_eq!(mode(host)["request_body_mode"], "BUFFERED");
    assert_eq!(mode(route(&bootstrap, "mcp-get"))["request_body_mode"], "NONE");
}

#[test]
fn clusters_stand_in_the_bootstrap_or_in_a_watched_folder() {
    let config = mk_config("");
    let inline = rendered(&config, &mk_options(&config));
    assert_eq!(inline["static_resources"]["clusters"][1]["name"], "a");
    assert_eq!(inline.get("dynamic_resources"), None);
    let options = RenderOptions {
        clusters: Clusters::File("/state/clusters/clusters.json".into()),
        ..mk_options(&config)
    };
    let dynamic = rendered(&config, &options);
    assert_eq!(
        dynamic["static_resources"]["clusters"].as_array().map(Vec::len),
        Some(1)
    );
    let source = &dynamic["dynamic_resources"]["cds_config"]["path_config_source"];
    assert_eq!(source["watched_directory"]["path"], "/state/clusters");
}

#[test]
fn tls_access_log_and_tcp_addresses_are_there_when_asked_for() {
    let config = mk_config(
        "tls: { cert: { file: s.pem }, key: { file: s.key } }\nenvoy: { accessLog: true, admin: '127.0.0.1:9901' }\n",
    );
    let options = RenderOptions {
        processor: Address::Tcp(([127, 0, 0, 1], 9000).into()),
        ..mk_options(&config)
    };
    let bootstrap = rendered(&config, &options);
    let chain = &bootstrap["static_resources"]["listeners"][0]["filter_chains"][0];
    let certificate = &chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"][0];
    assert_eq!(certificate["certificate_chain"]["filename"], "/base/s.pem");
    assert_eq!(
        manager(&bootstrap)["access_log"][0]["typed_config"]["path"],
        "/state/access.log"
    );
    assert_eq!(bootstrap["admin"]["address"]["socket_address"]["port_value"], 9901);
    let plain = mk_config("");
    let plain = rendered(&plain, &mk_options(&plain));
    assert_eq!(manager(&plain).get("access_log"), None);
}

#[test]
fn what_is_refused_early_is_refused_in_this_order() {
    let plain = mk_config("");
    let config = mk_config(
        "securityHeaders: true\nipFilter: { allow: [10.0.0.0/8], deny: ['::1'], trustedProxies: [192.0.2.1] }\n\
         cors: { origins: ['https://a.example'] }\n",
    );
    let (plain, bootstrap) = (
        rendered(&plain, &mk_options(&plain)),
        rendered(&config, &mk_options(&config)),
    );
    let names = |bootstrap: &Value| -> Vec<String> {
        let filters = manager(bootstrap)["http_filters"].as_array().expect("a list");
        filters
            .iter()
            .map(|filter| filter["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        names(&plain),
        ["envoy.filters.http.ext_proc", "envoy.filters.http.router"]
    );
    assert_eq!(
        names(&bootstrap)[..3],
        ["envoy.filters.http.cors", "mcp.response_headers", "mcp.ip_filter"]
    );
    let principals = &manager(&bootstrap)["http_filters"][2]["typed_config"]["rules"]["policies"]["addresses"];
    assert_eq!(
        principals["principals"][0]["and_ids"]["ids"],
        json!([
            { "or_ids": { "ids": [ { "remote_ip": { "address_prefix": "10.0.0.0", "prefix_len": 8 } } ] } },
            { "not_id": { "or_ids": { "ids": [ { "remote_ip": { "address_prefix": "::1", "prefix_len": 128 } } ] } } },
        ])
    );
    assert_eq!(
        manager(&bootstrap)["use_remote_address"],
        false,
        "else Envoy refuses the extension"
    );
    assert_eq!(manager(&plain)["use_remote_address"], true);
    let host = &manager(&bootstrap)["route_config"]["virtual_hosts"][0];
    let policy = &host["typed_per_filter_config"]["envoy.filters.http.cors"];
    assert_eq!(
        policy["allow_origin_string_match"],
        json!([{ "exact": "https://a.example" }])
    );
    assert_eq!(policy["max_age"], "3600");
}

#[test]
fn browsers_are_bound_to_https_only_where_that_is_served() {
    let says_so = |more: &str| {
        let config = mk_config(&format!("securityHeaders: true\n{more}"));
        render(&config, &mk_options(&config))
            .expect("rendered")
            .contains("strict-transport-security")
    };
    assert!(!says_so(""));
    assert!(says_so("tls: { cert: { file: c }, key: { file: k } }\n"));
    assert!(
        says_so("publicUrl: https://mcp.example.com/mcp\n"),
        "a proxy in front has the certificate"
    );
}

#[test]
fn a_socket_path_that_the_kernel_refuses_names_its_key() {
    let config = mk_config("");
    let options = RenderOptions {
        admin: Address::Socket(Path::new("/").join("x".repeat(107))),
        ..mk_options(&config)
    };
    let error = render(&config, &options).expect_err("108 bytes are too long");
    assert!(error.to_string().contains("envoy.admin"), "{error}");
}

const TOKENS: &str = "authentication: { jwt: [
  { issuer: 'https://idp', jwks: { url: 'https://idp.example.com/jwks', refresh: 1m } },
  { issuer: local, audiences: [a, b], jwks: { file: jwks.json } } ] }\npublicUrl: https://mcp.example.com/mcp\n";

fn token_filter(bootstrap: &Value) -> Option<&Value> {
    let filters = manager(bootstrap)["http_filters"].as_array().expect("a list");
    let filter = filters
        .iter()
        .find(|filter| filter["name"] == "envoy.filters.http.jwt_authn");
    filter.map(|filter| &filter["typed_config"])
}

#[test]
fn tokens_are_verified_for_whoever_asks_and_refused_by_nobody_but_the_processor() {
    let config = mk_config(TOKENS);
    let bootstrap = rendered(&config, &mk_options(&config));
    let filter = token_filter(&bootstrap).expect("there");
    let first = &filter["providers"]["mcp_manifold_issuer_0"];
    assert_eq!(
        (&first["issuer"], &first["audiences"], &first["forward"]),
        (
            &json!("https://idp"),
            &json!(["https://mcp.example.com/mcp"]),
            &json!(true)
        ),
        "the processor takes tokens off: an upstream may want them after a reload"
    );
    assert_eq!(first["remote_jwks"]["cache_duration"], "60s");
    let second = &filter["providers"]["mcp_manifold_issuer_1"];
    assert_eq!(second["audiences"], json!(["a", "b"]));
    assert_eq!(second["local_jwks"]["filename"], "/base/jwks.json");
    let requirements = &filter["rules"][0]["requires"]["requires_any"]["requirements"];
    assert_eq!(requirements[2], json!({ "allow_missing_or_failed": {} }));
    let clusters = bootstrap["static_resources"]["clusters"].as_array().expect("a list");
    let fetched = clusters
        .iter()
        .find(|cluster| cluster["name"] == "mcp_manifold_issuer_0")
        .expect("a cluster for the keys");
    let tls = &fetched["transport_socket"]["typed_config"];
    assert_eq!(tls["sni"], "idp.example.com");
    assert_eq!(
        tls["common_tls_context"]["validation_context"]["trusted_ca"]["filename"],
        "/roots.pem"
    );
    assert_eq!(
        route(&bootstrap, "mcp-metadata")["route"]["cluster_header"],
        "x-mcp-undecided"
    );
}

#[test]
fn who_asks_for_no_tokens_has_nothing_of_it() {
    for text in ["", "authentication: { apiKeys: { file: keys.yaml } }\n"] {
        let config = mk_config(text);
        let bootstrap = rendered(&config, &mk_options(&config));
        assert_eq!(token_filter(&bootstrap), None, "{text}");
    }
}

#[test]
fn keys_are_not_fetched_from_a_server_that_nobody_can_vouch_for() {
    let config = mk_config(TOKENS);
    let options = RenderOptions {
        roots: None,
        ..mk_options(&config)
    };
    let error = render(&config, &options).expect_err("nothing would be verified");
    assert_eq!(error, RenderError::NoRoots("https://idp".to_owned()));
}

#[test]
fn spans_go_to_the_collector_where_any_are_kept() {
    let collector = |bootstrap: &Value| {
        let clusters = bootstrap["static_resources"]["clusters"]
            .as_array()
            .expect("a list")
            .clone();
        clusters
            .into_iter()
            .find(|cluster| cluster["name"] == "mcp_manifold_collector")
    };
    let config = mk_config("telemetry: { otlp: 'http://otel.example:4317', traces: 0.25 }");
    let bootstrap = rendered(&config, &mk_options(&config));
    let tracing = &manager(&bootstrap)["tracing"];
    assert_eq!(tracing["random_sampling"]["value"], 25.0);
    let cluster = collector(&bootstrap).expect("it is there");
    let address = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
    assert_eq!(
        address["socket_address"],
        json!({ "address": "otel.example", "port_value": 4317 })
    );
    for without in ["", "telemetry: { otlp: 'http://otel.example:4317', traces: 0 }"] {
        let config = mk_config(without);
        let bootstrap = rendered(&config, &mk_options(&config));
        assert_eq!(manager(&bootstrap)["tracing"], Value::Null, "{without}");
        assert!(collector(&bootstrap).is_none(), "{without}");
    }
}
