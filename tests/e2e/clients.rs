//! Real clients by others: each opens a connection, lists all tools and calls one.

#![allow(dead_code, reason = "each test takes what it needs")]

use super::gateway::Gateway;
use super::{process, tools};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// Which client, and which revision it asks for: `auto`, `legacy`, or a revision it insists on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// npm `@modelcontextprotocol/sdk` 1.x: always legacy.
    TypeScript1,
    /// npm `@modelcontextprotocol/client` 2.x.
    TypeScript2(&'static str),
    /// PyPI `mcp` 2.x.
    Python(&'static str),
    /// crates.io `rmcp`.
    Rmcp(&'static str),
    /// npm `@modelcontextprotocol/inspector` on its command line.
    Inspector,
}

/// What a client saw.
#[derive(Debug)]
pub(crate) struct Visit {
    /// The negotiated revision, where the client tells.
    pub(crate) version: Option<String>,
    /// All tools, in the order of the list.
    pub(crate) tools: Vec<String>,
    /// The content blocks of the call's result.
    pub(crate) content: Value,
}

impl Client {
    /// Every client in every mode that suits a server of both eras.
    pub(crate) const ALL: [Self; 10] = [
        Self::TypeScript1,
        Self::TypeScript2("legacy"),
        Self::TypeScript2("auto"),
        Self::TypeScript2("2026-07-28"),
        Self::Python("legacy"),
        Self::Python("auto"),
        Self::Python("2026-07-28"),
        Self::Rmcp("legacy"),
        Self::Rmcp("auto"),
        Self::Inspector,
    ];

    /// Connects to `url`, lists all tools, calls `tool` with `arguments` (an object of strings); panics where any of
    /// it fails.
    pub(crate) async fn visit(self, url: &str, tool: &str, arguments: &Value) -> Visit {
        match self {
            Self::TypeScript1 => script(node("ts-v1.mjs"), url, tool, arguments, "").await,
            Self::TypeScript2(mode) => script(node("ts-v2.mjs"), url, tool, arguments, mode).await,
            Self::Python(mode) => {
                let mut command = Command::new(tools::python());
                command.arg(tools::source("tests/clients/python_client.py"));
                script(command, url, tool, arguments, mode).await
            }
            Self::Rmcp(mode) => rmcp(url, tool, arguments, mode).await,
            Self::Inspector => inspector(url, tool, arguments).await,
        }
    }
}

/// The TypeScript SDK 1.x, which is refused and fetches itself a token first; see `authorized.mjs`.
pub(crate) async fn authorized(url: &str, tool: &str, arguments: &Value) -> Visit {
    script(node("authorized.mjs"), url, tool, arguments, "").await
}

fn node(file: &str) -> Command {
    let mut command = Command::new(tools::node());
    command.arg(tools::source(&format!("tests/clients/{file}")));
    command
}

/// Runs a client of `tests/clients` that prints one JSON object a line.
async fn script(mut command: Command, url: &str, tool: &str, arguments: &Value, mode: &str) -> Visit {
    command.args(
        [url, tool, &arguments.to_string(), mode]
            .iter()
            .filter(|argument| !argument.is_empty()),
    );
    let output = output(command).await;
    let lines: Vec<Value> = output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let step = |name: &str| {
        let found = lines.iter().find(|line| line["step"] == name);
        found.unwrap_or_else(|| panic!("the client did not get as far as `{name}`:\n{output}"))
    };
    assert_eq!(step("call")["isError"], false, "{output}");
    Visit {
        version: step("connect")["version"].as_str().map(str::to_owned),
        tools: strings(&step("tools")["names"]),
        content: step("call")["content"].clone(),
    }
}

async fn inspector(url: &str, tool: &str, arguments: &Value) -> Visit {
    let mut command = Command::new("bash");
    command
        .arg(tools::source("tests/clients/inspector.sh"))
        .args([url, tool]);
    for (name, value) in arguments.as_object().into_iter().flatten() {
        command.arg(format!("{name}={}", value.as_str().unwrap_or_default()));
    }
    let output = output(command).await;
    let mut results = serde_json::Deserializer::from_str(&output).into_iter::<Value>();
    let mut next = || {
        results
            .next()
            .and_then(Result::ok)
            .unwrap_or_else(|| panic!("not two results:\n{output}"))
    };
    let (list, call) = (next(), next());
    let tools = list["tools"].as_array().into_iter().flatten();
    Visit {
        version: None,
        tools: tools
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect(),
        content: call["content"].clone(),
    }
}

async fn rmcp(url: &str, tool: &str, arguments: &Value, mode: &str) -> Visit {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match mode {
        "legacy" => ClientLifecycleMode::Initialize,
        "auto" => ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: None,
        },
        _ => ClientLifecycleMode::Discover { preferred_versions },
    };
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = ().serve_with_lifecycle(transport, lifecycle).await.expect("rmcp connects");
    let tools = client.list_all_tools().await.expect("rmcp lists the tools");
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let call = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let result = client.call_tool(call).await.expect("rmcp calls the tool");
    let version = client.peer_info().map(|info| info.protocol_version.to_string());
    client.cancel().await.expect("rmcp disconnects");
    assert_ne!(result.is_error, Some(true), "{result:?}");
    Visit {
        version,
        tools: tools.into_iter().map(|tool| tool.name.into_owned()).collect(),
        content: serde_json::to_value(result.content).expect("content is JSON"),
    }
}

/// Standard output of a command that must succeed.
pub(crate) async fn output(mut command: Command) -> String {
    let name = format!("{command:?}");
    let run = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let output = run
        .await
        .expect("no panic inside")
        .unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name} failed ({}):\n{text}{errors}",
        output.status
    );
    text
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_can_visit_an_upstream_directly() {
    let upstream = process::upstream(&[]);
    for client in Client::ALL {
        let visit = client.visit(&upstream.said, "greet", &json!({"name": "Ada"})).await;
        assert!(
            visit.tools.iter().any(|tool| tool == "greet"),
            "{client:?} sees {:?}",
            visit.tools
        );
        assert_eq!(
            visit.content,
            json!([{"type": "text", "text": "Hello, Ada!"}]),
            "{client:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_by_others_can_be_visited_directly() {
    let (_everything, url) = process::everything();
    let visit = Client::TypeScript1
        .visit(&url, "echo", &json!({"message": "hello"}))
        .await;
    assert_eq!(visit.content[0]["text"], "Echo: hello");
    let python = process::python_server();
    let visit = Client::Rmcp("auto")
        .visit(&python.said, "reverse", &json!({"text": "abc"}))
        .await;
    assert_eq!(visit.content[0]["text"], "cba");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_can_visit_two_upstreams_through_the_gateway() {
    let (first, second) = (
        process::upstream(&["--name", "first"]),
        process::upstream(&["--name", "second", "--bare", "--tools", "3"]),
    );
    let gateway = Gateway::before(&[("first", &first.said, "first_"), ("second", &second.said, "second_")]);
    for client in Client::ALL {
        let visit = client.visit(&gateway.url, "first_greet", &json!({"name": "Ada"})).await;
        assert!(
            visit.tools.iter().any(|tool| tool == "second_generated_2"),
            "{client:?} sees {:?}",
            visit.tools
        );
        assert_eq!(
            visit.content,
            json!([{"type": "text", "text": "Hello, Ada!"}]),
            "{client:?}"
        );
    }
}
