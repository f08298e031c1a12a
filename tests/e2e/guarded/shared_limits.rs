//! Rate limits that gateways share, with the rate limit service of the Envoy project.

use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http::{self, Response};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::process::free_port;
use crate::e2e::tools;
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;
use tempfile::TempDir;

const LIMITED: i64 = -31012;

/// The service, its memory, its files.
struct Service {
    grpc: u16,
    _programs: Vec<Program>,
    _folder: TempDir,
}

impl Service {
    /// Knows the domain `mcp`, and nothing more. `None`: it cannot be built here, without Go.
    async fn start() -> Option<Self> {
        if Command::new("go").arg("version").output().is_err() {
            eprintln!("left out: Envoy's rate limit service is built with Go, and there is none");
            return None;
        }
        let mut redis = Program::start(&mut Command::new(tools::program("miniredis")));
        let memory = redis.says("listening ").await;
        let folder = TempDir::new().expect("a folder");
        let config = folder.path().join("ratelimit/config");
        std::fs::create_dir_all(&config).expect("made");
        std::fs::write(config.join("mcp.yaml"), "domain: mcp\ndescriptors: []\n").expect("written");
        let [grpc, web, debug] = [free_port(), free_port(), free_port()];
        let mut command = Command::new(tools::program("ratelimit"));
        command
            .envs([
                ("REDIS_SOCKET_TYPE", "tcp"),
                ("REDIS_URL", memory.trim()),
                ("USE_STATSD", "false"),
            ])
            .envs([
                ("HOST", "127.0.0.1"),
                ("GRPC_HOST", "127.0.0.1"),
                ("DEBUG_HOST", "127.0.0.1"),
            ])
            .envs([("RUNTIME_SUBDIRECTORY", "ratelimit"), ("RUNTIME_WATCH_ROOT", "false")])
            .env("RUNTIME_ROOT", folder.path())
            .env("GRPC_PORT", grpc.to_string())
            .env("PORT", web.to_string())
            .env("DEBUG_PORT", debug.to_string());
        let service = Self {
            grpc,
            _programs: vec![redis, Program::start(&mut command)],
            _folder: folder,
        };
        let health = format!("GET /healthcheck HTTP/1.1\r\nhost: {web}\r\nconnection: close\r\n\r\n");
        let address = SocketAddr::from(([127, 0, 0, 1], web));
        eventually("the service is healthy", async || {
            let response = http::exchange(address, health.as_bytes()).await;
            response.is_ok_and(|response| response.status == 200)
        })
        .await;
        Some(service)
    }
}

fn mk_setup(puppet: &Puppet, port: u16, more: &str) -> Setup {
    Setup::new().puppet("puppet", puppet).with(&format!(
        "rateLimitService: {{ address: '127.0.0.1:{port}', domain: mcp, timeout: 2s{more} }}\n\
         rateLimits:\n- {{ name: shared, per: [principal, tool], limit: 4/day, cost: {{ '*_other': 2 }} }}"
    ))
}

async fn call(gateway: &Gateway, client: &Client, tool: &str) -> Response {
    let body = rpc("my-id", "tools/call", &json!({"name": tool, "arguments": {}}));
    client.request(body).send(gateway.address).await
}

#[tokio::test]
async fn two_gateways_count_together() {
    let Some(service) = Service::start().await else { return };
    let puppet = Puppet::start(&["echo", "other"]).await;
    let one = mk_setup(&puppet, service.grpc, "").up().await;
    let two = mk_setup(&puppet, service.grpc, "").up().await;
    let (ann, bob) = (one.client().await, two.client().await);
    for _ in 0..2 {
        answered("at the one", &call(&one, &ann, "puppet_echo").await, "\"my-id\"");
        answered("at the other", &call(&two, &bob, "puppet_echo").await, "\"my-id\"");
    }
    for (gateway, client) in [(&one, &ann), (&two, &bob)] {
        let response = call(gateway, client, "puppet_echo").await;
        let message = refused("the fifth", &response, 429, LIMITED, "\"my-id\"");
        assert_eq!(message["error"]["data"]["limit"], "shared");
        let wait: u64 = response
            .header("retry-after")
            .and_then(|wait| wait.parse().ok())
            .expect("told");
        assert!((1..=86_401).contains(&wait), "{wait}");
        assert_eq!(response.header("x-ratelimit-remaining"), Some("0"));
    }
    answered("it costs two", &call(&one, &ann, "puppet_other").await, "\"my-id\"");
    answered("all four", &call(&two, &bob, "puppet_other").await, "\"my-id\"");
    let response = call(&one, &ann, "puppet_other").await;
    refused("a third of them", &response, 429, LIMITED, "\"my-id\"");
}

#[tokio::test]
async fn without_the_service_each_gateway_counts_alone_or_refuses() {
    let puppet = Puppet::start(&["echo", "other"]).await;
    let alone = mk_setup(&puppet, free_port(), "").up().await;
    let client = alone.client().await;
    for _ in 0..4 {
        answered(
            "its own bucket",
            &call(&alone, &client, "puppet_echo").await,
            "\"my-id\"",
        );
    }
    refused(
        "is empty",
        &call(&alone, &client, "puppet_echo").await,
        429,
        LIMITED,
        "\"my-id\"",
    );
    let closed = mk_setup(&puppet, free_port(), ", failureModeDeny: true").up().await;
    let client = closed.client().await;
    let response = call(&closed, &client, "puppet_echo").await;
    refused("nobody has counted", &response, 503, -31014, "\"my-id\"");
    assert!(response.header("retry-after").is_some());
}

#[tokio::test]
async fn what_the_service_does_not_count_is_counted_here() {
    let Some(service) = Service::start().await else { return };
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .puppet("puppet", &puppet)
        .with(&format!(
            "rateLimitService: {{ address: '127.0.0.1:{}', domain: unknown, timeout: 2s }}\n\
             rateLimits:\n- {{ name: shared, per: [tool], limit: 2/day }}",
            service.grpc
        ))
        .up()
        .await;
    let client = gateway.client().await;
    for _ in 0..2 {
        answered(
            "counted here",
            &call(&gateway, &client, "puppet_echo").await,
            "\"my-id\"",
        );
    }
    let response = call(&gateway, &client, "puppet_echo").await;
    refused("counted here, and used up", &response, 429, LIMITED, "\"my-id\"");
    let said = gateway.programs[0].err();
    assert!(said.contains("does not know the domain"), "{said}");
}
