//! Tasks of two upstreams behind one endpoint, in the form of either era.

use crate::e2e::harness::check::refused;
use crate::e2e::harness::client::{Client, Request, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{self, Act, Puppet};
use crate::e2e::harness::stream::Stream;
use crate::e2e::harness::{PATIENCE, http::Response};
use crate::e2e::{process, tools};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Instant;
use tokio::sync::watch;

async fn fixture() -> (Program, String) {
    let mut program = Program::start(&mut Command::new(tools::example("upstream")));
    let url = program.says("listening ").await;
    (program, url)
}

/// A request of a modern client that can take tasks; `name` is what `Mcp-Name` mirrors.
fn modern(method: &str, name: &str, params: &Value) -> Request {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    });
    Request::post(rpc(1, method, &params))
        .with("mcp-protocol-version", "2026-07-28")
        .with("mcp-method", method)
        .with("mcp-name", name)
}

fn task(method: &str, id: &str) -> Request {
    modern(method, id, &json!({"taskId": id}))
}

fn task_id(message: &Value, upstream: &str) -> String {
    let result = &message["result"];
    let id = result["taskId"].as_str().or_else(|| result["task"]["taskId"].as_str());
    let id = id.unwrap_or_else(|| panic!("no task: {message}"));
    assert!(
        id.starts_with(&format!("mt:{upstream}:")),
        "it names its upstream: {message}"
    );
    id.to_owned()
}

/// Asks for the task until it has this status.
async fn until<F: Future<Output = Value>>(status: &str, ask: impl Fn() -> F) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let message = ask().await;
        if message["result"]["status"] == status {
            return message["result"].clone();
        }
        assert!(Instant::now() < deadline, "never {status}: {message}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

// === modern: the extension ===

async fn two_modern() -> (Vec<Program>, Gateway) {
    let ((one_program, one), (two_program, two)) = (fixture().await, fixture().await);
    let gateway = Setup::new().upstream("one", &one).upstream("two", &two).up().await;
    (vec![one_program, two_program], gateway)
}

async fn begin(gateway: &Gateway, tool: &str, arguments: &Value) -> Value {
    let call = modern("tools/call", tool, &json!({"name": tool, "arguments": arguments}));
    call.send(gateway.address).await.message()
}

#[tokio::test]
async fn modern_tasks_of_two_upstreams_are_told_apart() {
    let (_programs, gateway) = two_modern().await;
    let slow = json!({"seconds": 0.1, "label": "one"});
    let begun = begin(&gateway, "one_slow_compute", &slow).await;
    assert_eq!(begun["result"]["resultType"], "task", "{begun}");
    let one = task_id(&begun, "one");
    let two = task_id(
        &begin(&gateway, "two_slow_compute", &json!({"seconds": 0.1, "label": "two"})).await,
        "two",
    );
    for (id, label) in [(&one, "one"), (&two, "two")] {
        let done = until("completed", || async {
            task("tasks/get", id).send(gateway.address).await.message()
        })
        .await;
        assert_eq!(done["taskId"], **id);
        assert_eq!(done["result"]["content"][0]["text"], format!("{label} took 0.1 s"));
    }
}

#[tokio::test]
async fn a_modern_task_takes_its_input_and_can_be_cancelled() {
    let (_programs, gateway) = two_modern().await;
    let id = task_id(
        &begin(&gateway, "two_confirm_delete", &json!({"filename": "a.txt"})).await,
        "two",
    );
    let get = || async { task("tasks/get", &id).send(gateway.address).await.message() };
    until("input_required", get).await;
    let answer = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let update = modern("tasks/update", &id, &json!({"taskId": id, "inputResponses": answer}));
    let updated = update.send(gateway.address).await.message();
    assert_eq!(updated["result"]["resultType"], "complete", "{updated}");
    let done = until("completed", get).await;
    assert_eq!(done["result"]["content"][0]["text"], "a.txt: true");

    let id = task_id(
        &begin(&gateway, "one_slow_compute", &json!({"seconds": 60})).await,
        "one",
    );
    let cancelled = task("tasks/cancel", &id).send(gateway.address).await.message();
    assert!(cancelled.get("result").is_some(), "{cancelled}");
    until("cancelled", || async {
        task("tasks/get", &id).send(gateway.address).await.message()
    })
    .await;
}

#[tokio::test]
async fn a_task_that_nobody_has_is_refused() {
    let (_programs, gateway) = two_modern().await;
    for id in ["unknown", "mt:three:x"] {
        refused(id, &task("tasks/get", id).send(gateway.address).await, 200, -32602, "1");
    }
    let foreign = task("tasks/get", "mt:one:x").send(gateway.address).await;
    assert_eq!(
        foreign.message()["error"]["code"],
        -32602,
        "the upstream says so: {foreign:?}"
    );
    let other = task("tasks/get", "mt:one:x").with("mcp-name", "mt:one:y");
    refused("Mcp-Name", &other.send(gateway.address).await, 400, -32020, "1");
    let removed = task("tasks/result", "mt:one:x").send(gateway.address).await;
    refused("a method of the other form", &removed, 404, -32601, "1");
}

/// A modern server that tells of each task it is asked about that it works.
async fn teller() -> Puppet {
    let puppet = Puppet::start(&["x"]).await;
    puppet.play(|seen| {
        let fresh = |mut result: Value| {
            result["resultType"] = json!("complete");
            result["ttlMs"] = json!(60_000);
            result["cacheScope"] = json!("public");
            Some(seen.result(&result))
        };
        match (&*seen.method, seen.header("mcp-method").is_some()) {
            ("server/discover", _) => fresh(json!({
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}},
            })),
            ("tools/list", true) => fresh(json!({"tools": [puppet::tool("x")]})),
            ("subscriptions/listen", _) => {
                let wanted = seen.json()["params"]["notifications"]["taskIds"].clone();
                let about = |id: &Value| {
                    let params = json!({"taskId": id, "status": "working"});
                    let message = json!({"jsonrpc": "2.0", "method": "notifications/tasks", "params": params});
                    format!("data: {message}\n\n")
                };
                let events: String = wanted.as_array().into_iter().flatten().map(about).collect();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                Some(Act::Say(format!("{head}{events}").into_bytes()))
            }
            _ => None,
        }
    });
    puppet
}

#[tokio::test]
async fn news_of_modern_tasks_come_on_one_listen_stream_under_the_ids_that_the_client_knows() {
    let (one, two) = (teller().await, teller().await);
    let gateway = Setup::new().puppet("one", &one).puppet("two", &two).up().await;
    for name in ["one", "two"] {
        let modern = |row: &Value| {
            row["eras"]
                .as_array()
                .is_some_and(|eras| eras.contains(&json!("modern")))
        };
        gateway.until_upstream(name, "is listed as modern", modern).await;
    }
    let wanted = json!({"taskIds": ["mt:two:7", "mt:one:7", "mt:three:7"]});
    let listen = modern("subscriptions/listen", "", &json!({"notifications": wanted})).without("mcp-name");
    let mut stream = Stream::open(gateway.address, &listen).await;
    let acknowledged = stream.message().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let mut taken = acknowledged["params"]["notifications"]["taskIds"].clone();
    taken.as_array_mut().expect("ids").sort_by_key(Value::to_string);
    assert_eq!(taken, json!(["mt:one:7", "mt:two:7"]), "nobody has the third");
    let mut told = Vec::new();
    while told.len() < 2 {
        let news = stream.message().await;
        assert_eq!(news["method"], "notifications/tasks", "{news}");
        assert_eq!(
            news["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1,
            "{news}"
        );
        told.push(news["params"]["taskId"].as_str().unwrap_or_default().to_owned());
    }
    told.sort();
    assert_eq!(told, ["mt:one:7", "mt:two:7"]);
    let asked = two.posted("subscriptions/listen").pop().expect("it was asked").json();
    assert_eq!(asked["params"]["notifications"]["taskIds"], json!(["7"]));
    let declared = &asked["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"];
    assert!(declared.get("io.modelcontextprotocol/tasks").is_some(), "{asked}");
}

// === legacy: 2025-11-25 ===

async fn begin_research(client: &Client, tool: &str) -> Value {
    let params = json!({"name": tool, "arguments": {"topic": "gates"}, "task": {"ttl": 60_000}});
    client.rpc("tools/call", &params).await
}

fn related(response: &Response) -> String {
    let message = response.message();
    let meta = &message["result"]["_meta"]["io.modelcontextprotocol/related-task"];
    meta["taskId"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn legacy_tasks_of_two_upstreams_are_told_apart_and_listed_together() {
    let ((_one, one), (_two, two)) = (process::everything(), process::everything());
    let gateway = Setup::new().upstream("one", &one).upstream("two", &two).up().await;
    let client = gateway.client().await;
    let one = task_id(&begin_research(&client, "one_simulate-research-query").await, "one");
    let two = task_id(&begin_research(&client, "two_simulate-research-query").await, "two");

    let list = client.rpc("tasks/list", &json!({})).await;
    let tasks = list["result"]["tasks"].as_array().unwrap_or_else(|| panic!("{list}"));
    let ids: Vec<&str> = tasks.iter().filter_map(|task| task["taskId"].as_str()).collect();
    assert_eq!(ids, [&*one, &*two], "{list}");

    let cancelled = client.rpc("tasks/cancel", &json!({"taskId": two})).await;
    assert_eq!(cancelled["result"]["status"], "cancelled", "{cancelled}");
    assert_eq!(task_id(&cancelled, "two"), two);

    // It waits until the task is done.
    let result = client.ask("tasks/result", &json!({"taskId": one})).await;
    let text = result.message()["result"]["content"][0]["text"].to_string();
    assert!(text.contains("gates"), "{result:?}");
    assert_eq!(related(&result), one);
    let got = client.rpc("tasks/get", &json!({"taskId": one})).await;
    assert_eq!(
        (&got["result"]["status"], task_id(&got, "one")),
        (&json!("completed"), one)
    );
    let unknown = client.rpc("tasks/get", &json!({"taskId": "mt:three:x"})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test]
async fn a_legacy_task_asks_its_client_on_the_stream_of_its_result() {
    let ((_one, one), (_two, two)) = (process::everything(), process::everything());
    let gateway = Setup::new().upstream("one", &one).upstream("two", &two).up().await;
    let client = Client::connect_as(gateway.address, "2025-11-25", &json!({"elicitation": {"form": {}}})).await;
    let params = json!({
        "name": "two_simulate-research-query",
        "arguments": {"topic": "gates", "ambiguous": true},
        "task": {"ttl": 60_000},
    });
    let id = task_id(&client.rpc("tools/call", &params).await, "two");
    until("input_required", || client_task(&client, &id)).await;

    let wait = client.request(rpc(50, "tasks/result", &json!({"taskId": id})));
    let mut stream = Stream::open(gateway.address, &wait).await;
    let asked = message_with(&mut stream, "method").await;
    assert_eq!(asked["method"], "elicitation/create");
    let related = json!({"io.modelcontextprotocol/related-task": {"taskId": id}});
    assert_eq!(asked["params"]["_meta"], related, "{asked}");
    let chosen = json!({"action": "accept", "content": {"interpretation": "garden gates"}, "_meta": related});
    let answer = json!({"jsonrpc": "2.0", "id": asked["id"], "result": chosen});
    let said = client.request(answer.to_string()).send(gateway.address).await;
    assert_eq!(said.status, 202, "{said:?}");
    let result = message_with(&mut stream, "result").await;
    assert!(result.to_string().contains("garden gates"), "{result}");
    assert_eq!(result["result"]["_meta"], related, "{result}");
}

async fn client_task(client: &Client, id: &str) -> Value {
    client.rpc("tasks/get", &json!({"taskId": id})).await
}

/// The next message that has this member.
async fn message_with(stream: &mut Stream, member: &str) -> Value {
    loop {
        let message = stream.message().await;
        if message.get(member).is_some() {
            return message;
        }
    }
}

#[tokio::test]
async fn with_one_upstream_tasks_keep_their_ids() {
    let (_one, one) = process::everything();
    let gateway = Setup::new().upstream_with("one", &one, "prefix: ''").up().await;
    let client = gateway.client().await;
    let begun = begin_research(&client, "simulate-research-query").await;
    let id = begun["result"]["task"]["taskId"]
        .as_str()
        .unwrap_or_else(|| panic!("{begun}"));
    assert!(!id.starts_with("mt:"), "{begun}");
    let listed = client.rpc("tasks/list", &json!({})).await;
    assert_eq!(listed["result"]["tasks"][0]["taskId"], id, "{listed}");
    let result = client.ask("tasks/result", &json!({"taskId": id})).await;
    assert_eq!(related(&result), id, "{result:?}");
}

/// Envoy's route ends a call after the longest `timeout.call` where the processor sees no response headers.
#[tokio::test]
async fn a_result_is_waited_for_without_the_response_phase_too() {
    let puppet = Puppet::start(&["slow"]).await;
    let (open, gate) = watch::channel(false);
    puppet.play(move |seen| match seen.method.as_str() {
        "tasks/result" => Some(Act::After(gate.clone(), Box::new(seen.result(&json!({"content": []}))))),
        "tools/call" => Some(Act::Hang),
        _ => None,
    });
    let gateway = Setup::new()
        .upstream_with("one", &puppet.url(), "prefix: '', timeout: { call: 1s }")
        .with("envoy: { responsePhase: false }")
        .up()
        .await;
    let client = gateway.client().await;
    let params = json!({"taskId": "t"});
    let waiting = client.rpc("tasks/result", &params);
    let meanwhile = async {
        let call = client.request(rpc(77, "tools/call", &json!({"name": "slow", "arguments": {}})));
        let cut = call.send(gateway.address).await.message();
        assert!(cut["error"].is_object(), "others have their time: {cut}");
        // Later than that of the call before, which began no earlier.
        open.send(true).expect("it waits");
    };
    let (result, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(result["result"], json!({"content": []}), "{result}");
}
