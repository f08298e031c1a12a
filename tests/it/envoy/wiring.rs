//! Every shape of bootstrap is one that Envoy takes; without a processor nothing passes.

use super::harness::{Gateway, assert_valid, http, mk_config, parts, post, validate};
use mcp_manifold::edge::envoy::{Address, BodyMode, Clusters, RenderOptions, render};
use tempfile::TempDir;

const UPSTREAMS: &str = "upstreams:
- { name: names, url: 'http://mcp.example:8080/mcp' }
- { name: secure, url: 'https://mcp.example/mcp', timeout: { connect: 1500ms } }
- { name: four, url: 'http://127.0.0.1:1234/mcp' }
- { name: six, url: 'https://[::1]/mcp' }
- { name: local, url: 'http://localhost:1234/mcp' }
- { name: disabled, url: 'http://127.0.0.1:1/', enabled: false }
";

fn mk_options(folder: &TempDir, more: &str, body: BodyMode) -> (mcp_manifold::engine::config::Config, RenderOptions) {
    let config = mk_config(folder.path(), &format!("{more}\n{UPSTREAMS}"));
    let options = RenderOptions {
        body,
        ..RenderOptions::new(&config, "key \"quoted\" ${and} more".to_owned())
    };
    (config, options)
}

#[tokio::test]
async fn every_shape_of_bootstrap_is_valid() {
    let folder = TempDir::new().expect("a folder");
    for body in [BodyMode::FullDuplex, BodyMode::Buffered] {
        for more in [
            "",
            "envoy: { responsePhase: false, accessLog: true }",
            "envoy: { admin: '127.0.0.1:9901' }",
            "limits: { body: 1KiB, streams: 1, receive: 1500ms }",
            "path: /a/b.c~d",
        ] {
            let (config, options) = mk_options(&folder, more, body);
            let text = render(&config, &options).expect("rendered");
            assert_valid(&validate(&text).await, more);
        }
    }
}

#[tokio::test]
async fn a_bootstrap_with_tls_a_tcp_processor_and_a_cluster_file_is_valid() {
    let folder = TempDir::new().expect("a folder");
    let (config, options) = mk_options(&folder, "listen: '[::1]:0'", BodyMode::FullDuplex);
    let options = RenderOptions {
        processor: Address::Tcp(([127, 0, 0, 1], 9000).into()),
        clusters: Clusters::File(folder.path().join("clusters.json")),
        ..options
    };
    std::fs::write(folder.path().join("clusters.json"), "{}").expect("written");
    assert_valid(&validate(&render(&config, &options).expect("rendered")).await, "tcp");
}

#[tokio::test]
async fn without_a_processor_the_gateway_is_unavailable_and_other_paths_do_not_exist() {
    let gateway = Gateway::new("upstreams: [ { name: a, url: 'http://127.0.0.1:9/mcp' } ]");
    let _envoy = gateway.start().await;
    let address = gateway.address().await;

    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let known = format!(
        "x-mcp-route-key: {}\r\nx-mcp-upstream: a\r\n",
        gateway.options.route_key
    );
    for headers in ["", known.as_str()] {
        let response = post(address, "/mcp", headers, body).await;
        let (status, body) = parts(&response);
        assert_eq!(status, 503, "{response}");
        let expected = r#"{"error":{"code":-31014,"message":"gateway unavailable"},"id":null,"jsonrpc":"2.0"}"#;
        assert_eq!(body.trim_end(), expected);
        assert!(response.contains("retry-after: 1\r\n"), "{response}");
        assert!(response.contains("content-type: application/json\r\n"), "{response}");
    }

    let close = "host: 127.0.0.1\r\nconnection: close\r\n\r\n";
    for path in ["/", "/mcp/", "/mcpx", "/.well-known/oauth-protected-resource"] {
        let response = http(address, &format!("GET {path} HTTP/1.1\r\n{close}")).await;
        assert_eq!(parts(&response), (404, "not found\n"), "{path}");
    }
    for (request, expected) in [
        (format!("GET //mcp HTTP/1.1\r\n{close}"), 503),
        (format!("GET /x/../mcp HTTP/1.1\r\n{close}"), 503),
        (format!("GET /mcp%2Fx HTTP/1.1\r\n{close}"), 400),
        (format!("GET /mcp HTTP/1.1\r\nx_mcp_upstream: a\r\n{close}"), 400),
        ("GET /mcp HTTP/1.0\r\n\r\n".to_owned(), 426),
    ] {
        let response = http(address, &request).await;
        let (status, body) = parts(&response);
        assert_eq!(status, expected, "{request}\n{response}");
        assert!(body.starts_with(r#"{"error":{"code":-3"#), "{request}\n{response}");
    }
}
