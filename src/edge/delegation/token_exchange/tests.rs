//! A token endpoint that says what it is told to, and what comes of it.

use super::question::{SHORTEST, UNSAID, good_for};
use super::*;
use crate::engine::config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Its URL, and how often it was asked; it answers with this status and body.
async fn mk_endpoint(status: &'static str, body: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("bound"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(9).any(|window| window == b"audience=") {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.expect("a request");
                request.extend_from_slice(&piece[..read]);
            }
            let text = String::from_utf8(request).expect("text");
            assert!(text.starts_with("POST /token HTTP/1.1\r\n"), "{text}");
            // clientId "g w" and clientSecret "s:c", each form-encoded.
            assert!(
                text.contains(&format!("authorization: Basic {}\r\n", STANDARD.encode("g+w:s%3Ac"))),
                "{text}"
            );
            count.fetch_add(1, Ordering::Relaxed);
            let len = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nlocation: http://127.0.0.1:1/\r\n\
                 content-length: {len}\r\nconnection: close\r\n\r\n{body}"
            );
            // Who has heard enough leaves.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

fn mk_exchange() -> TokenExchange {
    TokenExchange::new(Handle::current(), Arc::new(|_| Some(Confidential("s:c".into()))))
}

fn mk_errand(url: &str, token: &str) -> Errand {
    let keys = format!("tokenUrl: '{url}', clientId: g w, clientSecret: {{env: X}}, audience: a");
    let text = format!(
        "authentication: {{jwt: [{{issuer: i, audiences: [a], jwks: {{file: k}}}}]}}\n\
         upstreams: [{{name: a, url: 'http://a/', credential: {{exchange: {{{keys}}}}}}}]"
    );
    let config = config::file::parse(&text, Path::new("/"), Path::new("/")).expect("valid");
    Errand {
        upstream: "a".into(),
        from: config.upstreams[0].delegated.credential.clone().expect("given"),
        principal: "i|alice".into(),
        token: Some(Confidential(token.into())),
    }
}

async fn find(exchange: &TokenExchange, errand: Errand) -> Outcome {
    match exchange.find(errand) {
        Look::Now(outcome) => outcome,
        Look::Later(later) => later.await,
    }
}

#[tokio::test]
async fn a_token_is_made_once_for_all_who_wait_and_used_again() {
    let (url, asked) = mk_endpoint(
        "200 OK",
        r#"{"access_token":"t2","token_type":"bearer","expires_in":300}"#,
    )
    .await;
    let exchange = mk_exchange();
    let (one, two) = tokio::join!(
        find(&exchange, mk_errand(&url, "t1")),
        find(&exchange, mk_errand(&url, "t1"))
    );
    assert_eq!(
        (one, two),
        (Ok(Confidential("t2".into())), Ok(Confidential("t2".into())))
    );
    assert!(matches!(exchange.find(mk_errand(&url, "t1")), Look::Now(Ok(_))));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(find(&exchange, mk_errand(&url, "of another")).await.is_ok());
    assert_eq!(
        asked.load(Ordering::Relaxed),
        2,
        "another caller's token is another question"
    );
    assert!(lock(&exchange.table).flights.is_empty());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(271)).await;
    assert!(
        matches!(exchange.find(mk_errand(&url, "t1")), Look::Later(_)),
        "before it expires"
    );
}

#[tokio::test]
async fn whatever_is_no_token_refuses_the_call() {
    for (status, body, lack) in [
        ("400 Bad Request", r#"{"error":"invalid_request"}"#, Lack::Refused),
        ("403 Forbidden", r#"{"error":"access_denied"}"#, Lack::Refused),
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#, Lack::Unavailable),
        (
            "400 Bad Request",
            r#"{"error":"unauthorized_client"}"#,
            Lack::Unavailable,
        ),
        ("302 Found", "", Lack::Unavailable),
        ("500 Internal Server Error", "oops", Lack::Unavailable),
        ("200 OK", "", Lack::Unavailable),
        (
            "200 OK",
            r#"{"access_token":"a\r\nb","token_type":"Bearer"}"#,
            Lack::Unavailable,
        ),
        (
            "200 OK",
            r#"{"access_token":"a","token_type":"mac"}"#,
            Lack::Unavailable,
        ),
    ] {
        let (url, asked) = mk_endpoint(status, body).await;
        let exchange = mk_exchange();
        assert_eq!(
            find(&exchange, mk_errand(&url, "t1")).await,
            Err(lack),
            "{status} {body}"
        );
        assert_eq!(asked.load(Ordering::Relaxed), 1, "nothing is followed");
        assert!(lock(&exchange.table).tokens.is_empty(), "{status} {body}");
    }
}

#[tokio::test]
async fn another_endpoint_is_another_token() {
    let (first, _) = mk_endpoint("200 OK", r#"{"access_token":"t2","token_type":"Bearer"}"#).await;
    let (second, _) = mk_endpoint("200 OK", r#"{"access_token":"t3","token_type":"Bearer"}"#).await;
    let exchange = mk_exchange();
    assert_eq!(
        find(&exchange, mk_errand(&first, "t1")).await,
        Ok(Confidential("t2".into()))
    );
    let changed = find(&exchange, mk_errand(&second, "t1")).await;
    assert_eq!(
        changed,
        Ok(Confidential("t3".into())),
        "the configuration says another one now"
    );
}

#[tokio::test]
async fn tokens_of_many_callers_are_bounded() {
    let mut table = Table::default();
    let by = mk_errand("http://127.0.0.1:1/", "x").from;
    for number in 0..MOST + 50 {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        let until = Instant::now() + Duration::from_secs(60 + number as u64);
        let made = Made {
            by: Arc::clone(&by),
            token: Confidential("t".into()),
            since: Instant::now(),
            until,
        };
        insert(&mut table.tokens, ("a".into(), digest), made, Instant::now());
    }
    assert_eq!(table.tokens.len(), MOST);
}

#[test]
fn a_token_is_given_up_before_it_expires() {
    let seconds = |said| good_for(said).as_secs_f64();
    assert!((seconds(Some(300.0)) - 270.0).abs() < 0.1);
    assert!((seconds(Some(20.0)) - 10.0).abs() < 0.1);
    assert!(seconds(Some(1e12)) <= 3600.0);
    assert_eq!(
        (good_for(Some(-1.0)), good_for(Some(f64::NAN)), good_for(None)),
        (SHORTEST, SHORTEST, UNSAID),
        "one call goes out with one token"
    );
}

#[tokio::test]
async fn who_was_refused_is_not_asked_for_again_at_once() {
    let (url, asked) = mk_endpoint("400 Bad Request", r#"{"error":"invalid_request"}"#).await;
    let exchange = mk_exchange();
    for _ in 0..100 {
        assert_eq!(find(&exchange, mk_errand(&url, "t1")).await, Err(Lack::Refused));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "however often the caller comes");
    assert_eq!(find(&exchange, mk_errand(&url, "t2")).await, Err(Lack::Refused));
    assert_eq!(asked.load(Ordering::Relaxed), 2, "of another caller nothing is known");
    tokio::time::pause();
    tokio::time::advance(REFUSED).await;
    tokio::time::resume();
    assert_eq!(find(&exchange, mk_errand(&url, "t1")).await, Err(Lack::Refused));
    assert_eq!(asked.load(Ordering::Relaxed), 3, "it may have changed its mind");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_left_alone_for_everybody() {
    let (url, asked) = mk_endpoint("503 Service Unavailable", "").await;
    let exchange = mk_exchange();
    for caller in 0..50 {
        let found = find(&exchange, mk_errand(&url, &format!("t{caller}"))).await;
        assert_eq!(found, Err(Lack::Unavailable));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3, "then nobody asks for a while");
    let (other, others) = mk_endpoint("200 OK", r#"{"access_token":"t2","token_type":"Bearer"}"#).await;
    assert!(find(&exchange, mk_errand(&other, "t1")).await.is_ok());
    assert_eq!(others.load(Ordering::Relaxed), 1, "another endpoint is another one");
}

#[tokio::test]
async fn one_caller_cannot_make_an_endpoint_look_down() {
    let (url, asked) = mk_endpoint("500 Internal Server Error", "").await;
    let exchange = mk_exchange();
    for caller in 0..20 {
        let found = find(&exchange, mk_errand(&url, &format!("t{caller}"))).await;
        assert_eq!(found, Err(Lack::Unavailable));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 20, "the tokens may be what it fails at");
}

#[tokio::test]
async fn a_token_that_is_refused_is_made_again_but_not_at_once_and_not_in_place_of_a_newer_one() {
    let (url, asked) = mk_endpoint(
        "200 OK",
        r#"{"access_token":"t2","token_type":"Bearer","expires_in":300}"#,
    )
    .await;
    let exchange = mk_exchange();
    let errand = || mk_errand(&url, "t1");
    assert!(find(&exchange, errand()).await.is_ok());
    exchange.forget(&errand(), |_| true);
    assert!(matches!(exchange.find(errand()), Look::Now(Ok(_))), "it was just made");
    tokio::time::pause();
    tokio::time::advance(YOUNG).await;
    tokio::time::resume();
    exchange.forget(&errand(), |made| &*made.0 == "t1");
    assert!(
        matches!(exchange.find(errand()), Look::Now(Ok(_))),
        "another one was refused"
    );
    exchange.forget(&mk_errand(&url, "of another"), |_| true);
    assert!(matches!(exchange.find(errand()), Look::Now(Ok(_))), "of another caller");
    exchange.forget(&errand(), |made| &*made.0 == "t2");
    assert!(find(&exchange, errand()).await.is_ok());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_answer_of_ten_megabytes_is_not_read() {
    let body: &'static str = Box::leak(format!("{{\"access_token\":\"{}\"", "a".repeat(10 << 20)).into_boxed_str());
    let (url, _) = mk_endpoint("200 OK", body).await;
    let exchange = mk_exchange();
    assert_eq!(find(&exchange, mk_errand(&url, "t1")).await, Err(Lack::Unavailable));
    assert!(lock(&exchange.table).tokens.is_empty());
}
