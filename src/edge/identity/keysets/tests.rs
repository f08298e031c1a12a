//! Against a server in this process that answers what a test wants.

use super::*;
use crate::engine::config::file::parse;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Script = Arc<Mutex<String>>;

/// Answers every request with the script's text, one connection after the other.
async fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).await;
            let answer = script.lock().expect("held for a moment").clone();
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/jwks?token=hunter2")
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn keys(ids: &[&str]) -> String {
    let keys = ids.iter().map(|id| format!(r#"{{"kty":"EC","kid":"{id}"}}"#));
    answer(
        "200 OK",
        &format!(r#"{{"keys":[{}]}}"#, keys.collect::<Vec<_>>().join(",")),
    )
}

fn mk_config(folder: &Path, url: &str, keep: &str) -> Config {
    let text = format!(
        "authentication: {{ jwt: [{{ issuer: i, jwks: {{ url: '{url}', refresh: 1s, keepLastGood: {keep} }} }}] }}\n\
         upstreams: [{{name: a, url: 'http://a/'}}]"
    );
    parse(&text, folder, folder).expect("valid")
}

/// Runs them until the end of the test.
fn start(config: &Config) -> watch::Receiver<Vec<IssuerKeys>> {
    let keysets = Keysets::open(config);
    let known = keysets.known();
    tokio::spawn(keysets.run(CancellationToken::new()));
    known
}

async fn until(known: &mut watch::Receiver<Vec<IssuerKeys>>, condition: impl Fn(&IssuerKeys) -> bool) -> IssuerKeys {
    let waiting = known.wait_for(|all| all.first().is_some_and(&condition));
    let found = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    found.expect("in time").expect("it runs")[0].clone()
}

#[tokio::test]
async fn keys_are_good_until_they_are_too_old_and_good_again_when_they_are_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = Script::new(Mutex::new(keys(&["a", "b"])));
    let url = serve(Arc::clone(&script)).await;
    let mut known = start(&mk_config(folder.path(), &url, "2s"));
    assert!(known.borrow()[0].standing.lapsed, "nothing was had yet");
    let good = until(&mut known, |keys| !keys.standing.lapsed).await;
    assert_eq!((good.keys, good.error), (2, None));

    for (text, expected) in [
        (answer("500 Oops", ""), "HTTP status 500"),
        (
            answer("302 Found\r\nlocation: http://127.0.0.1:9/", ""),
            "HTTP status 302",
        ),
        (answer("200 OK", "garbage"), "the answer is no JSON object with keys"),
        (
            answer("200 OK", r#"{"keys":[]}"#),
            "the answer holds no key that could verify a token",
        ),
    ] {
        *script.lock().expect("held for a moment") = text;
        until(&mut known, |keys| keys.error.as_deref() == Some(expected)).await;
    }
    let lapsed = until(&mut known, |keys| keys.standing.lapsed).await;
    assert!(lapsed.failures > 0 && lapsed.fetched.is_some(), "{lapsed:?}");
    assert!(!format!("{lapsed:?}").contains("hunter2"), "{lapsed:?}");

    *script.lock().expect("held for a moment") = keys(&["b"]);
    let back = until(&mut known, |keys| !keys.standing.lapsed).await;
    assert_eq!(back.standing.retired, ["a".into()], "taken back meanwhile");
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = Script::new(Mutex::new(keys(&["a"])));
    let url = serve(Arc::clone(&script)).await;
    let config = mk_config(folder.path(), &url, "1h");
    until(&mut start(&config), |keys| !keys.standing.lapsed).await;
    assert!(
        !Keysets::open(&config).known().borrow()[0].standing.lapsed,
        "an hour is not over"
    );
    let elsewhere = mk_config(folder.path(), "http://127.0.0.1:9/jwks", "1h");
    assert!(
        Keysets::open(&elsewhere).known().borrow()[0].standing.lapsed,
        "of another place nothing is known"
    );
}
