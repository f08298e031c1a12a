//! A state folder that cannot be written: serving goes on, and whoever looks is told.

use crate::e2e::harness::client::Client;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;

#[expect(unsafe_code, reason = "the standard library sets no limits of another process")]
/// No file of this process may grow, or be written at all: what a full disk is like.
fn fill_disk(process: u32, full: bool) {
    let limit = libc::rlimit {
        rlim_cur: if full { 0 } else { libc::RLIM_INFINITY },
        rlim_max: libc::RLIM_INFINITY,
    };
    let process = libc::pid_t::try_from(process).expect("a process id");
    // SAFETY: the limit is read only, and nothing is written for the old one.
    let outcome = unsafe { libc::prlimit(process, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
}

async fn failing(gateway: &Gateway, part: &str) -> bool {
    let status = gateway.status().await;
    let errors = status["stateErrors"].as_array().cloned().unwrap_or_default();
    errors.iter().any(|error| error["part"] == part)
}

fn told(gateway: &Gateway) -> String {
    let admin = gateway.admin.to_string();
    let output = gateway
        .setup
        .command(&["status", "--admin", &admin])
        .output()
        .expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_full_disk_is_seen_from_outside_and_nobody_is_turned_away_but_who_must_be_sure() {
    let puppet = Puppet::start(&["echo"]).await;
    let mut gateway = Setup::new().puppet("up", &puppet).up().await;
    let early = gateway.client().await;
    assert!(!told(&gateway).contains("state folder"));
    let process = gateway.program().id();
    fill_disk(process, true);

    let late = gateway.client().await;
    assert_eq!(late.text_of("up_echo", &json!({})).await, "echo", "serving goes on");
    eventually("status tells of the journal", async || {
        failing(&gateway, "sessions").await
    })
    .await;
    let text = told(&gateway);
    assert!(text.contains("\nstate folder: sessions cannot be written"), "{text}");
    let ready = gateway.ask("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(ready.text().starts_with("ready\nstate folder: sessions: "), "{ready:?}");
    let metrics = gateway.ask("/metrics").await.text();
    assert!(
        metrics.contains("mcp_manifold_state_write_failing{part=\"sessions\"} 1"),
        "{metrics}"
    );
    assert_eq!(
        early.delete().await,
        503,
        "an end that a restart would forget is not confirmed"
    );

    fill_disk(process, false);
    eventually("the journal is written again", async || {
        !failing(&gateway, "sessions").await
    })
    .await;
    assert!(!told(&gateway).contains("state folder"));

    let gateway = gateway.kill().up().await;
    let client: Client = late.moved_to(gateway.address);
    assert_eq!(
        client.text_of("up_echo", &json!({})).await,
        "echo",
        "what was late is kept"
    );
    let ended = early.moved_to(gateway.address).ask("tools/list", &json!({})).await;
    assert_eq!(ended.status, 404, "{ended:?}");
}
