//! Real clients before real servers of either era: everything a server may do with its client, through the gateway.
//!
//! Each client takes the same tour (`tests/clients/tour.mjs`): what it is told and asked on the way must be the same
//! whoever serves it, for what is told is the server's own.

mod rmcp;

use super::conformance::{Eras, Fixture};
use super::harness::gateway::{Gateway, Setup};
use super::harness::program::Program;
use super::{clients, tools};
use serde_json::{Value, json};
use std::process::Command;

/// Who takes the tour, and in which revision: `auto`, `legacy`, or one to insist on.
#[derive(Clone, Copy, Debug)]
enum Tourist {
    TypeScript1,
    TypeScript2(&'static str),
    Python(&'static str),
    Rmcp(&'static str),
}

const TOURISTS: [Tourist; 9] = [
    Tourist::TypeScript1,
    Tourist::TypeScript2("legacy"),
    Tourist::TypeScript2("auto"),
    Tourist::TypeScript2("2026-07-28"),
    Tourist::Python("legacy"),
    Tourist::Python("auto"),
    Tourist::Rmcp("legacy"),
    Tourist::Rmcp("2026-07-28"),
    Tourist::Rmcp("auto"),
];

const WATCHED: &str = "test://watched-resource";

fn steps() -> Value {
    json!([
        {"level": "info"},
        {"listen": WATCHED},
        {"call": "greet", "arguments": {"name": "Ada"}},
        {"call": "test_tool_with_progress"},
        {"call": "test_tool_with_logging"},
        {"await": "log"},
        {"call": "test_elicitation", "arguments": {"message": "Who are you?"}},
        {"call": "test_sampling", "arguments": {"prompt": "The capital of France?"}},
        {"call": "test_input_required_result_multiple_inputs"},
        {"call": "test_input_required_result_multi_round"},
        {"prompt": "test_input_required_result_prompt"},
        {"prompt": "test_prompt_with_arguments", "arguments": {"arg1": "one", "arg2": "two"}},
        {"read": "test://static-text"},
        {"read": "test://template/7/data"},
        {"complete": "test_prompt_with_arguments", "value": "par"},
        {"call": "touch", "arguments": {"uri": WATCHED}},
        {"await": "updated"},
        {"call": "test_trigger_tool_change"},
        {"await": "tools_changed"},
    ])
}

impl Tourist {
    /// Every line of the tour; panics where it does not come to its end.
    async fn tour(self, url: &str) -> Vec<Value> {
        let node = |sdk: &str, mode: &str| {
            let mut command = Command::new(tools::node());
            command
                .arg(tools::source("tests/clients/tour.mjs"))
                .args([sdk, url, mode]);
            command
        };
        let mut command = match self {
            Self::TypeScript1 => node("v1", "legacy"),
            Self::TypeScript2(mode) => node("v2", mode),
            Self::Python(mode) => {
                let mut command = Command::new(tools::python());
                command.arg(tools::source("tests/clients/tour.py")).args([url, mode]);
                command
            }
            Self::Rmcp(mode) => return rmcp::tour(url, mode, &steps()).await,
        };
        command.arg(steps().to_string());
        let output = clients::output(command).await;
        let lines = output.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.collect()
    }
}

/// The first line with these members, or a panic with the tour.
fn find<'a>(who: &str, lines: &'a [Value], members: &Value) -> &'a Value {
    let members = members.as_object().expect("an object");
    let found = lines
        .iter()
        .find(|line| members.iter().all(|(key, value)| line[key] == *value));
    let shown = || lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    found.unwrap_or_else(|| panic!("{who} never met {members:?}:\n{}", shown()))
}

/// What every tour must have seen.
fn assert_saw_all(who: &str, lines: &[Value]) {
    let text = |tool: &str| {
        let call = find(who, lines, &json!({"step": "call", "name": tool, "isError": false}));
        call["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(text("greet"), "Hello, Ada!", "{who}");
    let person = text("test_elicitation");
    assert!(
        person.starts_with("User response: action=accept") && person.contains("Ada"),
        "{who}: {person}"
    );
    assert_eq!(text("test_sampling"), "LLM response: Paris", "{who}");
    assert_eq!(
        text("test_input_required_result_multiple_inputs"),
        "all three answers arrived",
        "{who}"
    );
    assert_eq!(
        text("test_input_required_result_multi_round"),
        "both steps are done",
        "{who}"
    );
    for event in [
        json!({"event": "elicited", "message": "Who are you?"}),
        json!({"event": "sampled", "prompt": "The capital of France?"}),
        json!({"event": "rooted"}),
        json!({"event": "elicited", "message": "Step 2: What is your favorite color?"}),
        json!({"event": "elicited", "message": "What context should the prompt use?"}),
        json!({"event": "updated", "uri": WATCHED}),
        json!({"event": "tools_changed"}),
    ] {
        find(who, lines, &event);
    }
    // Some clients count the rounds of a question as progress too.
    let progress = lines.iter().filter(|line| line["event"] == "progress");
    let progress: Vec<f64> = progress.filter_map(|line| line["progress"].as_f64()).collect();
    assert!(progress.starts_with(&[0.0, 50.0, 100.0]), "{who}: {progress:?}");
    let logs: Vec<&Value> = lines.iter().filter(|line| line["event"] == "log").collect();
    let said: Vec<&Value> = logs.iter().map(|line| &line["data"]).collect();
    let [first, second, third] = [
        "Tool execution started",
        "Tool processing data",
        "Tool execution completed",
    ];
    // rmcp's legacy server logs on the session's own stream: the last one may come behind the answer, to nobody.
    assert!(said.len() >= 2, "{who}: {said:?}");
    assert!(
        [&json!(first), &json!(second), &json!(third)].starts_with(&said),
        "{who}: {said:?}"
    );
    let read = |uri: &str| {
        let has = |line: &&Value| line["step"] == "read" && line["contents"][0]["uri"] == uri;
        assert!(lines.iter().any(|line| has(&line)), "{who} read {uri}");
    };
    read("test://static-text");
    read("test://template/7/data");
    find(
        who,
        lines,
        &json!({"step": "complete", "values": ["paris", "park", "party"]}),
    );
}

async fn before(fixture: Fixture, eras: Eras, more: &str) -> (Program, Gateway) {
    let (server, url) = fixture.start(eras).await;
    // Two upstreams and a prefix would change the names that the tour calls; that is for other tests.
    let gateway = Setup::new()
        .upstream_with("fixture", &url, &format!("prefix: ''{more}"))
        .up()
        .await;
    (server, gateway)
}

async fn all_tour(fixture: Fixture, eras: Eras, more: &str) {
    let (_server, gateway) = before(fixture, eras, more).await;
    for tourist in TOURISTS {
        let lines = tourist.tour(&gateway.url()).await;
        assert_saw_all(&format!("{tourist:?} before {fixture:?} ({eras:?}{more})"), &lines);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_rmcp_of_both_eras() {
    all_tour(Fixture::Rmcp, Eras::Both, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_rmcp_of_the_legacy_era() {
    all_tour(Fixture::Rmcp, Eras::Legacy, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_rmcp_of_the_modern_era() {
    all_tour(Fixture::Rmcp, Eras::Modern, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_python_of_the_legacy_era() {
    all_tour(Fixture::Python, Eras::Legacy, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_python_of_the_modern_era() {
    all_tour(Fixture::Python, Eras::Modern, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_rmcp_called_by_the_processor() {
    all_tour(Fixture::Rmcp, Eras::Both, ", via: direct").await;
}
