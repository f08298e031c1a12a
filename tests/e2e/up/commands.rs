//! The other commands against a running gateway.

use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::Puppet;
use serde_json::{Value, json};
use std::process::Output;

fn run(gateway: &Gateway, arguments: &[&str]) -> Output {
    gateway.setup.command(arguments).output().expect("it runs")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[tokio::test]
async fn status_and_tools_read_a_running_gateway() {
    let puppet = Puppet::start(&["echo", "other"]).await;
    let dead = "http://127.0.0.1:9/mcp";
    let gateway = Setup::new().puppet("good", &puppet).upstream("bad", dead).up().await;
    let _client = gateway.client().await;
    let admin = gateway.admin.to_string();

    let table = text(&run(&gateway, &["status", "--admin", &admin]));
    let row = |name: &str| {
        table
            .lines()
            .find(|line| line.contains(name))
            .map(str::to_owned)
            .unwrap_or_default()
    };
    assert!(row("good").contains("Ready") && row("good").contains('2'), "{table}");
    assert!(row("bad").contains("Unreachable"), "{table}");

    let status: Value =
        serde_json::from_str(&text(&run(&gateway, &["status", "--admin", &admin, "--json"]))).expect("JSON");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["sessions"], 1);
    let good = &status["upstreams"][0];
    assert_eq!(good["name"], "good");
    assert_eq!(good["prefix"], "good_");
    assert_eq!(
        (&good["ready"], &good["reason"], &good["tools"]),
        (&json!(true), &json!("Ready"), &json!(2))
    );
    assert_eq!(good["eras"], json!(["legacy"]));
    assert_eq!(good["protocolVersion"], "2025-11-25");
    assert!(
        good["lastListed"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{good}"
    );

    let tools = text(&run(&gateway, &["tools", "--admin", &admin]));
    assert!(tools.contains("good_echo") && tools.contains("good_other"), "{tools}");
    let tools: Value =
        serde_json::from_str(&text(&run(&gateway, &["tools", "--admin", &admin, "--json"]))).expect("JSON");
    assert_eq!(tools["tools"][0]["name"], "good_echo");
    assert_eq!(tools["tools"][0]["upstream"], "good");
    assert_eq!(tools["tools"][0]["upstreamName"], "echo");
}

#[tokio::test]
async fn health_readiness_metrics_and_the_page_are_served() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    client.call("nothing", &json!({})).await;
    assert_eq!(gateway.ask("/healthz").await.status, 200);
    assert_eq!(gateway.ask("/readyz").await.status, 200);
    let metrics = gateway.ask("/metrics").await.text();
    for name in ["mcp_server_operation_duration_seconds", "mcp_manifold_"] {
        assert!(metrics.contains(name), "{name} is missing:\n{metrics}");
    }
    assert!(metrics.contains("tools/call"), "{metrics}");
    let page = gateway.ask("/").await;
    assert_eq!((page.status, page.media()), (200, "text/html"));
    assert_eq!(gateway.ask("/no-such").await.status, 404);
}

#[tokio::test]
async fn every_exchange_leaves_one_audit_line() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().puppet("up", &puppet).with("audit: { file: audit.jsonl }");
    let gateway = setup.up().await;
    let client = gateway.client().await;
    client.text_of("up_echo", &json!({})).await;
    client.call("nothing", &json!({})).await;
    client.delete().await;
    let file = gateway.setup.folder.path().join("audit.jsonl");
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    };
    crate::e2e::harness::eventually("four lines", async || lines().len() >= 4).await;
    let lines = lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let call = lines.iter().find(|line| line["tool"] == "up_echo").expect("the call");
    assert_eq!(
        (&call["method"], &call["upstream"], &call["way"]),
        (&json!("tools/call"), &json!("up"), &json!("forward"))
    );
    let refused = lines
        .iter()
        .find(|line| line["code"] == -32602)
        .expect("the refused call");
    assert_eq!(
        (&refused["verdict"], &refused["reason"]),
        (&json!("reject"), &json!("unknown_tool"))
    );
    let text = std::fs::read_to_string(&file).expect("readable");
    assert!(!text.contains(&client.session), "a session id is a secret");
}

#[test]
fn every_command_has_help_with_examples_and_completions_exist() {
    let setup = Setup::new();
    let commands: [&[&str]; 8] = [
        &["--help"],
        &["up", "--help"],
        &["serve", "--help"],
        &["check", "--help"],
        &["render", "envoy", "--help"],
        &["status", "--help"],
        &["tools", "--help"],
        &["completions", "--help"],
    ];
    for arguments in commands {
        let help = text(&setup.command(arguments).output().expect("it runs"));
        assert!(help.contains("Example"), "{arguments:?}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&setup.command(&["completions", shell]).output().expect("it runs"));
        assert!(
            script.contains("mcp-manifold") && script.contains("completions"),
            "{shell}"
        );
    }
    let version = text(&setup.command(&["--version"]).output().expect("it runs"));
    assert_eq!(version.trim(), concat!("mcp-manifold ", env!("CARGO_PKG_VERSION")));
}
