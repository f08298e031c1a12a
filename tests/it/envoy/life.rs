//! Envoy's life as a child: clusters that change, a crash, a taken port, a drain.

use super::harness::{Gateway, parts, post};
use mcp_manifold::edge::envoy::{Envoy, NotInForce, StartError, Stat};
use mcp_manifold::engine::config::Upstream;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const ONE: &str = "upstreams: [ { name: one, url: 'http://127.0.0.1:9/mcp' } ]";

fn mk_upstreams(yaml: &str) -> Vec<Upstream> {
    Gateway::new(&format!("upstreams: {yaml}")).config.upstreams
}

async fn clusters(gateway: &Gateway) -> Vec<String> {
    let stats = gateway
        .admin
        .stats(Stat::Gauge, "cluster_manager.active_clusters")
        .await
        .expect("Envoy answers");
    vec![
        stats
            .text("cluster_manager.active_clusters")
            .unwrap_or("none")
            .to_owned(),
    ]
}

#[tokio::test]
async fn clusters_are_added_changed_and_removed_while_envoy_runs() {
    let gateway = Gateway::new(ONE);
    let _envoy = gateway.start().await;
    let shared = gateway.shared();
    for (version, active, upstreams) in [
        (
            "g2",
            "3",
            "[ { name: one, url: 'http://127.0.0.1:9/mcp' }, { name: two, url: 'http://localhost:9/mcp' } ]",
        ),
        (
            "g3",
            "3",
            "[ { name: one, url: 'http://127.0.0.1:8/mcp' }, { name: two, url: 'http://localhost:9/mcp' } ]",
        ),
        ("g4", "2", "[ { name: two, url: 'http://localhost:9/mcp' } ]"),
    ] {
        let upstreams = mk_upstreams(upstreams);
        let left_out = gateway
            .clusters
            .replace(&gateway.admin, &upstreams, &shared, version)
            .await;
        assert_eq!(left_out.expect("in force"), [], "{version}");
        assert_eq!(
            clusters(&gateway).await,
            [active],
            "{version}: the processor's cluster and the upstreams'"
        );
    }
}

#[tokio::test]
async fn an_upstream_with_a_broken_certificate_file_is_left_out_alone() {
    let gateway = Gateway::new(ONE);
    let _envoy = gateway.start().await;
    let own = gateway.folder.path().join("own.pem");
    std::fs::write(&own, "no certificate").expect("written");
    let upstreams = mk_upstreams(&format!(
        "[ {{ name: bad, url: 'https://127.0.0.1:9/', tls: {{ ca: {{ file: {} }} }} }}, {{ name: good, url: 'http://127.0.0.1:9/' }} ]",
        own.display()
    ));
    let left_out = gateway
        .clusters
        .replace(&gateway.admin, &upstreams, &gateway.shared(), "g2")
        .await;
    let left_out = left_out.expect("the good one is in force");
    assert_eq!(left_out[0].upstream, "bad");
    assert!(left_out[0].reason.contains("holds no certificate"), "{left_out:?}");
}

#[tokio::test]
async fn a_file_that_envoy_rejects_is_told_at_once() {
    let gateway = Gateway::new(ONE);
    let _envoy = gateway.start().await;
    let own = gateway.folder.path().join("own.pem");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&own, garbage).expect("written");
    let upstreams = mk_upstreams(&format!(
        "[ {{ name: bad, url: 'https://127.0.0.1:9/', tls: {{ ca: {{ file: {} }} }} }} ]",
        own.display()
    ));
    let began = Instant::now();
    let outcome = gateway
        .clusters
        .replace(&gateway.admin, &upstreams, &gateway.shared(), "g2")
        .await;
    assert!(matches!(outcome, Err(NotInForce::Rejected)), "{outcome:?}");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "not only after the patience is over"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_names_address_and_key() {
    let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = other.local_addr().expect("bound");
    let gateway = Gateway::new(&format!("listen: {address}\n{ONE}"));
    gateway
        .clusters
        .write(&gateway.config.upstreams, &gateway.shared(), "g1")
        .expect("written");
    let error = Envoy::start(gateway.child(gateway.bootstrap()))
        .await
        .expect_err("the port is taken");
    let StartError::Bind {
        address: named, key, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((named.as_str(), *key), (address.to_string().as_str(), "listen"));
}

#[tokio::test]
async fn a_second_gateway_on_the_same_port_is_refused() {
    let first = Gateway::new(ONE);
    let _envoy = first.start().await;
    let second = Gateway::new(&format!("listen: {}\n{ONE}", first.address().await));
    second
        .clusters
        .write(&second.config.upstreams, &second.shared(), "g1")
        .expect("written");
    let error = Envoy::start(second.child(second.bootstrap()))
        .await
        .expect_err("the port is taken");
    assert!(matches!(error, StartError::Bind { key: "listen", .. }), "{error}");
}

#[tokio::test]
async fn a_second_gateway_in_the_same_state_folder_is_refused() {
    let gateway = Gateway::new(ONE);
    let _envoy = gateway.start().await;
    let error = Envoy::start(gateway.child(gateway.bootstrap()))
        .await
        .expect_err("taken");
    assert!(matches!(error, StartError::Bind { key: "envoy.admin", .. }), "{error}");
    assert!(gateway.admin.ready().await.expect("the first one is unharmed"));
}

#[tokio::test]
async fn a_bootstrap_that_envoy_refuses_is_explained() {
    let gateway = Gateway::new(ONE);
    let bootstrap = gateway.folder.path().join("bad.yaml");
    std::fs::write(&bootstrap, "no_such_key: 1\n").expect("written");
    let error = Envoy::start(gateway.child(bootstrap)).await.expect_err("refused");
    assert!(error.to_string().contains("no_such_key"), "{error}");
}

#[tokio::test]
async fn a_crashed_envoy_comes_back_with_its_clusters() {
    let gateway = Gateway::new(ONE);
    let envoy = gateway.start().await;
    let process = envoy.id().expect("it runs");
    let (stop, stopped) = oneshot::channel::<()>();
    let run = envoy.run(async {
        let _ = stopped.await;
    });
    let story = async {
        send_kill(process);
        gone(process).await;
        let back = async {
            while !matches!(gateway.admin.ready().await, Ok(true)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), back)
            .await
            .expect("Envoy comes back");
        assert_eq!(clusters(&gateway).await, ["2"]);
        let response = post(gateway.address().await, "/mcp", "", "{}").await;
        assert_eq!(parts(&response).0, 503);
        drop(stop);
    };
    tokio::join!(run, story);
    assert!(gateway.admin.ready().await.is_err(), "after its drain Envoy is gone");
}

#[tokio::test]
async fn an_envoy_that_serves_nobody_ends_at_once() {
    let gateway = Gateway::new(ONE);
    let envoy = gateway.start().await;
    let process = envoy.id().expect("it runs");
    let began = Instant::now();
    envoy.run(async {}).await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "no grace is needed: {:?}",
        began.elapsed()
    );
    assert!(!lives(process));
}

#[expect(unsafe_code, reason = "a crash cannot be asked for otherwise")]
pub(super) fn send_kill(process: u32) {
    let process = i32::try_from(process).expect("a process id");
    // SAFETY: the process is a child of this test.
    assert_eq!(unsafe { libc::kill(process, libc::SIGKILL) }, 0);
}

pub(super) fn lives(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

pub(super) async fn gone(process: u32) {
    let gone = async {
        while lives(process) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone)
        .await
        .expect("a killed process ends");
}
