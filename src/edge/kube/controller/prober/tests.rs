use super::*;
use crate::edge::kube::plan::Door;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const GUARDED: &str = "Route is not served here";
const PUBLIC: &str = "Route does not stand";

/// An Envoy that gives the first answer for an upstream, and the second for none.
async fn envoy(upstream: (u16, &str), none: (u16, &str)) -> SocketAddr {
    listening(None, upstream, none).await
}

/// The same, with a certificate if there is one.
async fn listening(tls: Option<tokio_rustls::TlsAcceptor>, upstream: (u16, &str), none: (u16, &str)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = |(status, message): (u16, &str)| {
        let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": message}}).to_string();
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let answers = [text(upstream), text(none)];
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream: Box<dyn Stream> = match &tls {
                None => Box::new(stream),
                Some(tls) => Box::new(tls.accept(stream).await.unwrap()),
            };
            let mut asked = Vec::new();
            let mut request = String::new();
            while !request.ends_with("[]") {
                let mut bytes = [0; 1024];
                let count = stream.read(&mut bytes).await.unwrap();
                asked.extend(bytes.iter().take(count));
                request = String::from_utf8_lossy(&asked).into_owned();
            }
            let answer = match request.contains("x-mcp-upstream") {
                true => &answers[0],
                false => &answers[1],
            };
            // As Envoy does after an error of its own: the connection ends.
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for S {}

/// With a certificate for the name that clients use, which nobody has signed.
fn mk_acceptor() -> tokio_rustls::TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["mcp.test".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    Arc::new(config).into()
}

fn mk_probe() -> Probe {
    Probe {
        upstream: "team.one".into(),
        route: Place {
            namespace: "team".into(),
            name: "mcp-upstream.team.one".into(),
        },
        door: Door {
            port: 80,
            tls: false,
            host: "mcp.test".into(),
        },
        method: "POST".to_owned(),
        path: "/mcp".to_owned(),
        headers: vec![
            ("x-mcp-upstream".to_owned(), "team.one".to_owned()),
            ("x-mcp-route-key".to_owned(), "hunter2".to_owned()),
        ],
    }
}

async fn found(upstream: (u16, &str), none: (u16, &str)) -> Result<Road, String> {
    let address = envoy(upstream, none).await;
    Lines::default()
        .find(&mk_probe(), &HashMap::from([(80, vec![address])]))
        .await
}

#[tokio::test]
async fn the_processors_refusal_means_that_the_route_is_guarded() {
    assert_eq!(found((403, GUARDED), (403, PUBLIC)).await, Ok(Road::Guarded));
}

#[tokio::test]
async fn a_request_that_comes_by_a_public_route_says_that_the_upstreams_is_not_there() {
    assert!(
        found((403, PUBLIC), (403, PUBLIC))
            .await
            .unwrap_err()
            .contains("not have it yet")
    );
}

#[tokio::test]
async fn whoever_else_answers_stands_on_an_open_route() {
    assert_eq!(found((200, "hello"), (403, PUBLIC)).await, Ok(Road::Open(200)));
    assert_eq!(found((400, "no batches"), (403, PUBLIC)).await, Ok(Road::Open(400)));
    assert_eq!(found((403, "forbidden"), (403, PUBLIC)).await, Ok(Road::Open(403)));
    assert_eq!(found((500, "policy"), (403, PUBLIC)).await, Ok(Road::Broken(500)));
}

#[tokio::test]
async fn a_filter_before_the_processor_says_nothing_of_the_route() {
    assert!(found((401, "Jwt is missing"), (401, "Jwt is missing")).await.is_err());
    assert!(found((503, "no processor"), (503, "no processor")).await.is_err());
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_said() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let pods = HashMap::from([(80, vec![address])]);
    let reason = Lines::default().find(&mk_probe(), &pods).await.unwrap_err();
    assert!(reason.contains("no connection"), "{reason}");
    assert!(!format!("{:?}", mk_probe()).contains("hunter2"));
}

#[tokio::test]
async fn a_listener_with_tls_is_asked_whoever_signed_its_certificate() {
    let address = listening(Some(mk_acceptor()), (403, GUARDED), (403, PUBLIC)).await;
    let mut probe = mk_probe();
    probe.door.tls = true;
    let pods = HashMap::from([(80, vec![address])]);
    assert_eq!(Lines::default().find(&probe, &pods).await, Ok(Road::Guarded));
    let plain = envoy((403, GUARDED), (403, PUBLIC)).await;
    let pods = HashMap::from([(80, vec![plain])]);
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        Lines::default().find(&probe, &pods).await
    });
    assert!(
        found.await.unwrap().is_err(),
        "nothing is said of a listener that speaks no TLS"
    );
}

#[test]
fn what_is_not_as_it_should_be_is_asked_for_again_soon_and_then_more_and_more_slowly() {
    let now = Instant::now();
    let mut slot = Slot {
        probe: Ok(mk_probe()),
        road: None,
        since: now,
        due: now,
        attempts: 0,
        failures: 0,
    };
    slot.wait(now, None);
    assert_eq!(slot.due, now, "the next pass asks again");
    let open = Road::Open(200);
    let mut waits = || {
        slot.wait(now, Some(&open));
        slot.due.duration_since(now).as_secs()
    };
    assert_eq!(
        [waits(), waits(), waits(), waits(), waits(), waits(), waits()],
        [1, 2, 4, 8, 16, 30, 30]
    );
    slot.wait(now, Some(&Road::Guarded));
    assert_eq!(slot.due, now + AGAIN);
    slot.road = Some(Road::Guarded);
    slot.wait(now, None);
    assert_eq!(slot.due, now + SOON, "no answer after a good one");
}
