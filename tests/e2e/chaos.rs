//! Many calls at once while things break: everybody gets an answer, the right one, and never a 404.

use super::harness::client::{Client, Request, initialize, rpc};
use super::harness::gateway::Setup;
use super::harness::http;
use super::harness::program::{Program, signal};
use super::harness::puppet::Puppet;
use super::process::free_port;
use super::tools;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Calls `tool` in turn until told to stop; how many answers were results and how many errors of ours.
async fn calls(client: Arc<Client>, tool: &'static str, who: usize, stop: Arc<AtomicBool>) -> (usize, usize) {
    let (mut results, mut errors) = (0, 0);
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("{who}-{turn}");
        let body = rpc(
            id.clone(),
            "tools/call",
            &json!({"name": tool, "arguments": {"name": &id}}),
        );
        let response = client.request(body).send(client.address).await;
        assert_ne!(response.status, 404, "{response:?}");
        if !response.whole {
            // The upstream died when its response had begun: the client sees that something is missing.
            assert_eq!(tool, "moving_greet", "{response:?}");
            errors += 1;
            continue;
        }
        let message = response.message();
        assert_eq!(message["id"], json!(id), "an answer to somebody else: {message}");
        if message["result"].is_object() {
            assert_text(&message, tool, &id);
            results += 1;
        } else {
            let code = message["error"]["code"].as_i64();
            assert!(matches!(code, Some(-31014..=-31010)), "{message}");
            errors += 1;
        }
    }
    (results, errors)
}

fn assert_text(message: &Value, tool: &str, id: &str) {
    let text = message["result"]["content"][0]["text"].as_str().unwrap_or_default();
    let expected = if tool == "moving_greet" {
        format!("Hello, {id}!")
    } else {
        "echo".to_owned()
    };
    assert_eq!(text, expected, "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_survive_an_upstream_that_restarts_twice() {
    let port = free_port().to_string();
    let mut fixture = Program::start(Command::new(tools::example("upstream")).args(["--port", &port]));
    let url = fixture.says("listening ").await;
    let steady = Puppet::start(&["echo"]).await;
    let gateway = Setup::new()
        .upstream("moving", &url)
        .puppet("steady", &steady)
        .up()
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Arc::new(gateway.client().await));
    }
    for who in 0..200 {
        let tool = if who % 2 == 0 { "moving_greet" } else { "steady_echo" };
        let client = Arc::clone(&clients[who % clients.len()]);
        callers.push((tool, tokio::spawn(calls(client, tool, who, Arc::clone(&stop)))));
    }
    for _ in 0..2 {
        drop(fixture);
        fixture = Program::start(Command::new(tools::example("upstream")).args(["--port", &port]));
        fixture.says("listening ").await;
        let client = gateway.client().await;
        super::harness::eventually("the restarted upstream answers", async || {
            client.call("moving_greet", &json!({"name": "x"})).await["result"].is_object()
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut steady_errors, mut results) = (0, 0);
    for (tool, caller) in callers {
        let (good, bad) = caller.await.expect("every answer was right");
        results += good;
        steady_errors += if tool == "steady_echo" { bad } else { 0 };
    }
    println!("{results} calls were answered");
    assert_eq!(steady_errors, 0, "the other upstream was not harmed");
    for client in &clients {
        assert_eq!(
            client.text_of("moving_greet", &json!({"name": "Ada"})).await,
            "Hello, Ada!",
            "the same session"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_killed_under_load_is_back_for_the_same_clients() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).serve_beside(&[], &[]).await;
    let client = Arc::new(gateway.client().await);
    client.text_of("up_echo", &json!({})).await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (client, stop) = (Arc::clone(&client), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let body = rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}}));
                    // A connection may break where a response had begun; what is answered must not be 404.
                    if let Ok(response) = http::exchange(client.address, &client.request(body).bytes()).await {
                        assert!([200, 503].contains(&response.status), "{response:?}");
                    }
                }
            })
        })
        .collect();
    signal(gateway.program().id(), "KILL");
    drop(gateway.programs.remove(0));
    let mut command = gateway.setup.command(&["serve", "-f"]);
    command.arg(gateway.setup.file());
    let mut again = Program::start(&mut command);
    again.says("ready ").await;
    gateway.programs.insert(0, again);
    super::harness::eventually("calls succeed again", async || {
        let response = client
            .ask("tools/call", &json!({"name": "up_echo", "arguments": {}}))
            .await;
        response.status == 200 && response.message()["result"].is_object()
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no 404");
    }
}

/// What a client was told, and may rely on.
#[derive(Default)]
struct Promises {
    alive: Vec<Client>,
    ended: Vec<Client>,
}

/// Opens sessions, calls, ends every other one, until the gateway is gone.
async fn churn(address: std::net::SocketAddr, promises: Arc<Mutex<Promises>>) {
    for turn in 0.. {
        let Ok(hello) = http::exchange(address, &initialize("2025-11-25", &json!({})).bytes()).await else {
            return;
        };
        let Some(id) = hello.header("mcp-session-id").filter(|_| hello.status == 200) else {
            return;
        };
        let client = Client::known(address, id);
        let call = client.request(rpc(1, "tools/call", &json!({"name": "up_echo", "arguments": {}})));
        match http::exchange(address, &call.bytes()).await {
            Ok(response) if response.whole && response.status == 200 => {}
            _ => return,
        }
        if turn % 2 == 0 {
            promises.lock().expect("nobody panics").alive.push(client);
            continue;
        }
        let end = Request::bare("DELETE").session(id).bytes();
        match http::exchange(address, &end).await {
            Ok(response) if (200..300).contains(&response.status) => {
                promises.lock().expect("nobody panics").ended.push(client);
            }
            _ => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_holds_after_every_hard_kill_under_load() {
    let puppet = Puppet::start(&["echo"]).await;
    let promises = Arc::new(Mutex::new(Promises::default()));
    let mut setup = Setup::new().puppet("up", &puppet);
    for round in 1..=3 {
        let gateway = setup.up().await;
        let address = gateway.address;
        let churning: Vec<_> = (0..8)
            .map(|_| tokio::spawn(churn(address, Arc::clone(&promises))))
            .collect();
        super::harness::eventually("some sessions have come and gone", async || {
            promises.lock().expect("nobody panics").ended.len() >= 20 * round
        })
        .await;
        setup = gateway.kill();
        for task in churning {
            task.await.expect("no panic");
        }
    }
    let gateway = setup.up().await;
    let Promises { alive, ended } = std::mem::take(&mut *promises.lock().expect("nobody panics"));
    println!("{} sessions alive, {} ended", alive.len(), ended.len());
    for client in ended {
        let client = client.moved_to(gateway.address);
        assert_eq!(
            client.ask("tools/list", &json!({})).await.status,
            404,
            "an ended session is back"
        );
    }
    for client in alive.into_iter().rev().take(200) {
        let client = client.moved_to(gateway.address);
        assert_eq!(client.text_of("up_echo", &json!({})).await, "echo");
    }
}
