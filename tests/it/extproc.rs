//! The ext_proc server as Envoy sees it: gRPC over real sockets. What the driver does with messages is tested beside it;
//! here are connections, streams, health and the drain.

mod envoy;
mod processors;

use envoy::{Envoy, body, head, said};
use mcp_manifold::edge::extproc::server::Method;
use mcp_manifold::edge::extproc::{Health, Listen, Processor, Server};
use mcp_manifold::engine::exchange::record::Way;
use processors::{Room, names};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server on a Unix socket.
struct Running {
    folder: TempDir,
    health: Health,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start<P>(processor: P, runtimes: usize, grace: Duration) -> Self
    where
        P: Method,
    {
        let folder = tempfile::tempdir().expect("a folder");
        let listen: Listen = format!("unix:{}", folder.path().join("s").display())
            .parse()
            .expect("an address");
        let health = Health::default();
        let server = Server {
            listeners: vec![listen.bind().await.expect("free")],
            runtimes: NonZeroUsize::new(runtimes).expect("at least one"),
            grace,
            health: health.clone(),
        };
        let (shutdown, signal) = oneshot::channel();
        let task = tokio::spawn(async move {
            let signal = async {
                let _ = signal.await;
            };
            server.run(processor, signal).await.expect("served to the end");
        });
        Self {
            folder,
            health,
            shutdown: Some(shutdown),
            task,
        }
    }

    async fn envoy(&self) -> Envoy {
        Envoy::connect(&self.folder.path().join("s")).await
    }

    fn drain(&mut self) {
        self.shutdown = None;
    }

    async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the server ends")
            .expect("without a panic");
    }
}

#[tokio::test]
async fn an_answer_ends_with_status_ok() {
    let room = Room::new();
    let server = Running::start(Processor::new(Arc::clone(&room)), 1, PATIENCE).await;
    let mut stream = server.envoy().await.stream(head()).await;
    stream.say(body(PING, true));
    assert_eq!(said(&stream.hear().await), "immediate");
    assert!(stream.hear().await.expect("no error").is_none(), "a clean end");
    assert_eq!(room.recorded().await, Way::Answer);
}

#[tokio::test]
async fn a_forward_replies_in_envoys_order() {
    let room = Room::new();
    let server = Running::start(Processor::new(Arc::clone(&room)), 1, PATIENCE).await;
    let mut stream = server.envoy().await.stream(head()).await;
    stream.say(body(CALL, true));
    assert_eq!(said(&stream.hear().await), "request headers");
    assert_eq!(said(&stream.hear().await), "request body");
    stream.leave();
    assert_eq!(room.recorded().await, Way::Forward);
}

#[tokio::test]
async fn a_client_that_leaves_early_is_noticed() {
    let room = Room::new();
    let server = Running::start(Processor::new(Arc::clone(&room)), 1, PATIENCE).await;
    let envoy = server.envoy().await;
    let stream = envoy.stream(head()).await;
    room.opened(1).await;
    drop(stream);
    assert_eq!(room.recorded().await, Way::Undecided);
    room.opened(0).await;
}

#[tokio::test]
async fn many_streams_share_one_connection() {
    let room = Room::new();
    let server = Running::start(Processor::new(Arc::clone(&room)), 1, PATIENCE).await;
    let envoy = server.envoy().await;
    let streams = (0..200).map(|_| async {
        let mut stream = envoy.stream(head()).await;
        stream.say(body(PING, true));
        said(&stream.hear().await)
    });
    let all = futures_util::future::join_all(streams).await;
    assert!(all.iter().all(|said| said == "immediate"), "{all:?}");
}

#[tokio::test]
async fn connections_go_to_the_runtimes_in_turn() {
    let server = Running::start(names(), 2, PATIENCE).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        let mut stream = server.envoy().await.stream(head()).await;
        names.push(said(&stream.hear().await));
    }
    names.sort();
    assert_eq!(names, ["ext_proc-0", "ext_proc-0", "ext_proc-1", "ext_proc-1"]);
}

#[tokio::test]
async fn envoys_health_check_is_answered_and_noticed() {
    let server = Running::start(names(), 1, PATIENCE).await;
    assert_eq!(server.health.last_check(), None);
    assert!(server.envoy().await.is_serving().await);
    assert!(server.health.last_check().is_some());
}

#[tokio::test]
async fn a_drain_lets_running_exchanges_finish() {
    let room = Room::new();
    let mut server = Running::start(Processor::new(Arc::clone(&room)), 2, PATIENCE).await;
    let mut stream = server.envoy().await.stream(head()).await;
    stream.say(body(&CALL[..20], false));
    room.opened(1).await;
    server.drain();
    stream.say(body(&CALL[20..], true));
    assert_eq!(said(&stream.hear().await), "request headers");
    stream.leave();
    server.ended().await;
    assert_eq!(room.recorded().await, Way::Forward);
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_with_an_error() {
    let room = Room::new();
    let mut server = Running::start(Processor::new(Arc::clone(&room)), 2, Duration::from_millis(50)).await;
    let socket = server.folder.path().join("s");
    let mut stream = server.envoy().await.stream(head()).await;
    room.opened(1).await;
    server.drain();
    assert!(stream.hear().await.is_err(), "a clean end would let the request pass");
    server.ended().await;
    assert_eq!(room.recorded().await, Way::Undecided);
    assert!(!socket.exists(), "the socket file is gone");
}

#[tokio::test]
async fn a_port_serves_as_well_as_a_socket() {
    let listener = "127.0.0.1:0"
        .parse::<Listen>()
        .expect("an address")
        .bind()
        .await
        .expect("free");
    let port = listener.port().expect("a port");
    let server = Server {
        listeners: vec![listener],
        runtimes: NonZeroUsize::MIN,
        grace: PATIENCE,
        health: Health::default(),
    };
    let (shutdown, signal) = oneshot::channel::<()>();
    let run = server.run(names(), async {
        let _ = signal.await;
    });
    let client = async {
        let mut stream = Envoy::connect_port(port).await.stream(head()).await;
        let name = said(&stream.hear().await);
        drop(shutdown);
        name
    };
    let (served, name) = tokio::join!(run, client);
    served.expect("served to the end");
    assert_eq!(name, "ext_proc-0");
}
