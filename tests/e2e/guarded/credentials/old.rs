//! Credentials of callers at an HTTP+SSE server, whose sessions are connections: each is of one caller, in all that goes
//! over it.

use super::*;
use crate::e2e::process::everything_sse;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What was sent on each connection, as it came.
type Sent = Arc<Mutex<Vec<String>>>;

/// A way to the server at `port` that writes down what goes there; its own port.
async fn written_down(port: u16) -> (u16, Sent) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = listener.local_addr().expect("bound").port();
    let sent = Sent::default();
    let all = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                continue;
            };
            tokio::spawn(between(client, server, Arc::clone(&all)));
        }
    });
    (own, sent)
}

async fn between(client: TcpStream, server: TcpStream, all: Sent) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let at = {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(String::new());
        all.len() - 1
    };
    let there = async move {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut piece).await {
            if let Some(text) = all.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
                text.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
            if to_server.write_all(&piece[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// First line and `authorization` of every request.
fn requests(sent: &Sent) -> Vec<(String, Option<String>)> {
    let mut all: Vec<(String, Option<String>)> = Vec::new();
    for text in sent.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        for line in text.lines() {
            let shown = line.strip_prefix("authorization: ");
            if let Some((verb, rest)) = line.split_once(" /")
                && matches!(verb.rsplit('}').next(), Some("GET" | "POST"))
                && rest.ends_with(" HTTP/1.1")
            {
                all.push((line.to_owned(), None));
            } else if let (Some(shown), Some((_, last))) = (shown, all.last_mut()) {
                *last = Some(shown.to_owned());
            }
        }
    }
    all
}

#[tokio::test]
async fn each_connection_is_of_one_caller() {
    let issuer = Issuer::start().await;
    let (_server, port) = everything_sse();
    let (own, sent) = written_down(port).await;
    let url = format!("http://127.0.0.1:{own}/sse");
    let setup = guarded(&issuer, "").upstream_with("old", &url, "protocol: sse, credential: { forward: true }");
    let gateway = setup.up().await;
    until_keys(&gateway, &issuer.token("warm-up")).await;
    gateway
        .until_upstream("old", "listed", |upstream| upstream["ready"] == true)
        .await;
    let (alice, bob) = (
        Visitor::new(&gateway, &issuer, "alice"),
        Visitor::new(&gateway, &issuer, "bob"),
    );
    let visit = async |visitor: &Visitor<'_>| {
        let session = visitor.begin().await;
        let arguments = json!({"name": "old_echo", "arguments": {"message": visitor.name}});
        for at in 0..20 {
            let request = match at % 3 {
                0 => modern(at, "tools/call", &arguments),
                1 => Request::post(rpc(at, "tools/call", &arguments)),
                _ => Request::post(rpc(at, "tools/call", &arguments)).session(&session),
            };
            let answer = visitor.send(request).await;
            assert!(answer.text().contains(&format!("Echo: {}", visitor.name)), "{answer:?}");
        }
        let ended = visitor.send(Request::bare("DELETE").session(&session)).await;
        assert_eq!(ended.status, 200, "{ended:?}");
    };
    tokio::join!(visit(&alice), visit(&bob));
    let requests = requests(&sent);
    let mut speakers: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for (line, shown) in requests.iter().filter(|(line, _)| line.contains("POST ")) {
        speakers.entry(line).or_default().insert(shown.as_deref());
    }
    assert!(speakers.values().all(|speakers| speakers.len() == 1), "{speakers:?}");
    for visitor in [&alice, &bob] {
        let authorization = visitor.authorization();
        let opened = |(line, shown): &&(String, Option<String>)| {
            line.contains("GET /sse") && shown.as_deref() == Some(&*authorization)
        };
        assert!(
            requests.iter().filter(opened).count() > 1,
            "the stream is opened as its caller"
        );
        let spoken = speakers
            .values()
            .filter(|speakers| speakers.contains(&Some(&*authorization)));
        assert!(spoken.count() > 1, "and so is all that is sent in it");
    }
}
