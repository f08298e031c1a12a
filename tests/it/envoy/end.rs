//! How Envoy ends: after the calls under way, at the end of the grace, and with us when we are killed.

use super::harness::{Gateway, parts, post};
use super::life::{gone, lives, send_kill};
use super::processor;
use mcp_manifold::edge::envoy::{Address, Envoy};
use std::future::pending;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

struct Served {
    gateway: Gateway,
    upstream: TcpListener,
    _tasks: JoinSet<()>,
}

/// A gateway with a processor, and an upstream that the test itself plays.
async fn mk_served() -> Served {
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = upstream.local_addr().expect("bound");
    let gateway = Gateway::new(&format!("upstreams: [ {{ name: slow, url: 'http://{address}/' }} ]"));
    let Address::Socket(socket) = &gateway.options.processor else {
        panic!("the default is a socket");
    };
    let mut tasks = JoinSet::new();
    let listening = processor::bind(socket).await;
    tasks.spawn(processor::serve(
        listening,
        gateway.options.route_key.clone(),
        pending(),
    ));
    Served {
        gateway,
        upstream,
        _tasks: tasks,
    }
}

impl Served {
    /// The next call has reached the upstream.
    async fn called(&self) -> TcpStream {
        let (mut stream, _) = self.upstream.accept().await.expect("a call");
        let mut asked = Vec::new();
        while !asked.ends_with(b"to slow") {
            assert_ne!(
                stream.read_buf(&mut asked).await.expect("a call"),
                0,
                "the call is complete"
            );
        }
        stream
    }
}

#[tokio::test]
async fn a_call_under_way_is_answered_before_envoy_ends() {
    let served = mk_served().await;
    let envoy = served.gateway.start().await;
    let address = served.gateway.address().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let run = envoy.run(async {
        let _ = stopped.await;
    });
    let client = post(address, "/mcp", "", "to slow");
    let story = async {
        let mut call = served.called().await;
        drop(stop);
        // The drain time is over: new connections are refused, the call still runs.
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        call.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
            .await
            .expect("answered");
        // Envoy would keep the connection for the next call.
        drop(call);
    };
    let ((), response, ()) = tokio::join!(run, client, story);
    assert_eq!(parts(&response), (200, "done"));
}

#[tokio::test]
async fn a_call_that_outlasts_the_grace_is_cut() {
    let served = mk_served().await;
    let mut options = served.gateway.child(served.gateway.bootstrap());
    options.grace = Duration::from_millis(200);
    served
        .gateway
        .clusters
        .write(&served.gateway.config.upstreams, &served.gateway.shared(), "g1")
        .expect("written");
    let envoy = Envoy::start(options).await.expect("Envoy starts");
    let process = envoy.id().expect("it runs");
    let address = served.gateway.address().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let run = envoy.run(async {
        let _ = stopped.await;
    });
    let began = Instant::now();
    let client = async {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let call = "POST /mcp HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\nto slow";
        stream.write_all(call.as_bytes()).await.expect("sent");
        let mut received = Vec::new();
        // Reset or closed.
        let _ = stream.read_to_end(&mut received).await;
        received
    };
    let story = async {
        let _call = served.called().await;
        drop(stop);
        pending::<()>().await
    };
    let both = async { tokio::join!(run, client) };
    tokio::select! {
        _ = both => {}
        () = story => {}
    }
    assert!(!lives(process));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Not a test of its own: the parent that the next test kills.
#[tokio::test]
#[ignore = "is started by another test"]
async fn parent() {
    let gateway = Gateway::new("upstreams: [ { name: one, url: 'http://127.0.0.1:9/' } ]");
    let envoy = gateway.start().await;
    println!("\nenvoy {}", envoy.id().expect("it runs"));
    envoy.run(pending()).await;
}

#[tokio::test]
async fn no_envoy_is_left_behind_when_we_are_killed() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let mut parent = Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["it::envoy::end::parent", "--exact", "--ignored", "--nocapture"])
        // What the killed one cannot clean up.
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("this test runs");
    let mut lines = BufReader::new(parent.stdout.take().expect("piped")).lines();
    let envoy: u32 = loop {
        let line = lines.next_line().await.expect("text").expect("it says the process id");
        if let Some(id) = line.strip_prefix("envoy ") {
            break id.parse().expect("a number");
        }
    };
    assert!(lives(envoy));
    send_kill(parent.id().expect("it runs"));
    gone(envoy).await;
}
