//! A thousand registrations, timed: a controller that begins with them, and one change among them. Prints the figures.
//!
//! They lead to a few servers, so that what is timed is the controller, the processor, the API server and Envoy Gateway.
//! It keeps the whole cluster busy for minutes: `make bench-kube` runs it, not `make test-kube`.

use super::alone_processor::controllers;
use super::harness::folder;
use super::harness::gateway::envoys;
use super::harness::kubectl::{apply, kubectl};
use super::harness::namespace::fixture;
use super::harness::served::registration;
use super::life::one_server;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

const SERVERS: usize = 1_000;
/// Programs that all of them lead to: one alone does not answer a thousand handshakes in time.
const PROGRAMS: usize = 8;
/// What is promised on a quiet machine.
const SNAPSHOT: Duration = Duration::from_secs(10);
const EVERYTHING: Duration = Duration::from_secs(90);
const CHANGE: Duration = Duration::from_millis(200);
/// Machines are not always quiet.
const LENIENCY: u32 = 2;

#[tokio::test]
async fn a_thousand_registrations_are_served_in_time_and_a_change_among_them_at_once() {
    let served = one_server("scale").await;
    let namespace = served.namespace.name.clone();
    let log = log(&namespace).await;
    assert_eq!(assignments(&log).last().expect("something is served").upstreams, 1);

    let programs: String = (0..PROGRAMS)
        .map(|number| format!("---{}", fixture(&program(number), &["--tools", "2", "--bare"], 1)))
        .collect();
    served.namespace.apply(&programs).await;
    for number in 0..PROGRAMS {
        served.namespace.rolled_out(&program(number)).await;
    }
    controllers(0).await;
    let begun = Instant::now();
    let parts: Vec<String> = (0..SERVERS).collect::<Vec<_>>().chunks(250).map(objects).collect();
    let applied = parts.iter().map(|part| {
        let part = part.replace("NAMESPACE", &namespace);
        tokio::spawn(async move { apply(&part).await })
    });
    for part in applied.collect::<Vec<_>>() {
        part.await.expect("they are applied");
    }
    println!(
        "scale: {SERVERS} registrations and routes applied in {:?}",
        begun.elapsed()
    );

    kubectl(&[
        "scale",
        "deployment/mcp-manifold-controller",
        "--replicas=1",
        "-n",
        "mcp-manifold-system",
    ])
    .await;
    let begun = Instant::now();
    let clock = SystemTime::now();
    let known = within(
        EVERYTHING * LENIENCY,
        begun,
        "the processor knows them all",
        async || {
            let last = assignments(&log).pop().ok_or_else(String::new)?;
            (last.upstreams == SERVERS + 1)
                .then_some(last.at)
                .ok_or_else(|| last.upstreams.to_string())
        },
    )
    .await;
    let snapshot = known.duration_since(clock).unwrap_or_default();
    println!("scale: snapshot at the processor after {snapshot:?}");
    let routes = timed(EVERYTHING * LENIENCY, begun, "their routes are there", async || {
        let ours = [
            "get",
            "httproutes",
            "-n",
            &namespace,
            "-l",
            "mcp-manifold/purpose=upstream",
            "-o",
            "name",
        ];
        let count = kubectl(&ours).await.lines().count();
        (count == SERVERS + 2).then_some(()).ok_or_else(|| count.to_string())
    })
    .await;
    println!("scale: routes applied after {routes:?}");
    // One object tells, first: to list all of them again and again would take the time that is measured.
    let told = timed(
        EVERYTHING * LENIENCY,
        begun,
        "the extension counts them all",
        async || {
            let path = "jsonpath={.status.readyServers}";
            let count = kubectl(&["get", "mcpge", "extension", "-n", &namespace, "-o", path]).await;
            (count == (SERVERS + 1).to_string()).then_some(()).ok_or(count)
        },
    )
    .await;
    println!("scale: all counted as ready after {told:?}");
    let ready = timed(EVERYTHING * LENIENCY, begun, "they are all ready", async || {
        let path = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let all = kubectl(&["get", "mcpsr", "-n", &namespace, "-o", path]).await;
        let ready = all.split(' ').filter(|status| *status == "True").count();
        (ready == SERVERS + 1).then_some(()).ok_or_else(|| ready.to_string())
    })
    .await;
    println!("scale: every status written after {ready:?}");

    calm().await;
    let before = consumed();
    let mut changes = Vec::new();
    for round in 0..5 {
        changes.push(change(&namespace, &log, &format!("s{:04}", 100 * round)).await);
    }
    changes.sort();
    println!("scale: one change in force after {changes:?}");
    let spent = consumed().saturating_sub(before) / 5;
    println!("scale: all programs of the cluster together needed {spent:?} of a processor for each");
    assert!(snapshot < SNAPSHOT * LENIENCY, "{snapshot:?}");
    assert!(routes.max(ready) < EVERYTHING * LENIENCY, "{routes:?} {ready:?}");
    assert!(changes[changes.len() / 2] < CHANGE * LENIENCY, "{changes:?}");
    controllers(2).await;
}

/// Waits until Envoy Gateway and the others have nothing more to do with what was before.
async fn calm() {
    let begun = Instant::now();
    loop {
        let before = consumed();
        tokio::time::sleep(Duration::from_secs(2)).await;
        if consumed().saturating_sub(before) < Duration::from_millis(600) || begun.elapsed() > EVERYTHING {
            println!("scale: calm after {:?} more", begun.elapsed());
            return;
        }
    }
}

/// The time that all programs of the cluster have spent on processors, but for this one.
fn consumed() -> Duration {
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let others = ids.filter(|id| *id != std::process::id());
    let ticks = others.filter_map(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // Behind the name, which may hold anything: utime and stime are the fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(number(11)? + number(12)?)
    });
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Switches one off; until the processor serves without it. Returns when its status says so too: the next one is timed for
/// itself.
async fn change(namespace: &str, log: &Path, name: &str) -> Duration {
    let client = kube::Client::try_default().await.expect("a kubeconfig");
    let kind = GroupVersionKind::gvk("mcp.kuadrant.io", "v1", "MCPServerRegistration");
    let resource = ApiResource::from_gvk_with_plural(&kind, "mcpserverregistrations");
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let patch = Patch::Merge(json!({"spec": {"state": "Disabled"}}));
    let before = assignments(log).len();
    let begun = SystemTime::now();
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .expect("it is patched");
    let at = within(EVERYTHING, Instant::now(), "the change is in force", async || {
        let next = assignments(log).into_iter().nth(before);
        next.map(|next| next.at).ok_or_else(String::new)
    })
    .await;
    within(EVERYTHING, Instant::now(), "its status says so", async || {
        let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}";
        let reason = kubectl(&["get", "mcpsr", name, "-n", namespace, "-o", path]).await;
        (reason == "Disabled").then_some(()).ok_or(reason)
    })
    .await;
    at.duration_since(begun).unwrap_or_default()
}

/// What a processor serves since when.
struct Assigned {
    at: SystemTime,
    upstreams: usize,
}

/// The log of the processor in the only Envoy pod.
async fn log(namespace: &str) -> PathBuf {
    let pods = envoys(namespace, "gateway").await;
    let [pod] = &pods[..] else { panic!("one pod: {pods:?}") };
    let name = pod.trim_start_matches("pod/");
    folder().join(format!("pods/envoy-gateway-system_{name}/mcp-manifold.log"))
}

fn assignments(log: &Path) -> Vec<Assigned> {
    let text = std::fs::read_to_string(log).expect("its log");
    let lines = text.lines().filter(|line| line.contains("Assignment is in force."));
    let assigned = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let at: Timestamp = line["timestamp"].as_str().expect("a time").parse().expect("a time");
        Assigned {
            at: at.into(),
            upstreams: line["upstreams"]
                .as_u64()
                .and_then(|count| count.try_into().ok())
                .expect("a number"),
        }
    };
    lines.map(assigned).collect()
}

/// How long after `begun` it came true.
async fn timed(limit: Duration, begun: Instant, what: &str, ask: impl AsyncFn() -> Result<(), String>) -> Duration {
    within(limit, begun, what, ask).await;
    begun.elapsed()
}

/// What it answers once it does.
async fn within<T>(limit: Duration, begun: Instant, what: &str, ask: impl AsyncFn() -> Result<T, String>) -> T {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(begun.elapsed() < limit, "never came true: {what}: {reason}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Routes and registrations of these numbers.
fn objects(numbers: &[usize]) -> String {
    let mut text = String::new();
    for number in numbers {
        let name = format!("s{number:04}");
        let object = registration(&name, &format!("{name}_"), &program(number % PROGRAMS));
        write!(text, "---{object}").expect("a String takes every text");
    }
    text
}

/// The name of a program that servers lead to.
fn program(number: usize) -> String {
    format!("program-{number}")
}
