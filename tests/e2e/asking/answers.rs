//! What the client answers, reports and takes back reaches the upstream that it is meant for, as it stands.

use super::{Asker, all, client, event, open, say, two};
use crate::e2e::harness::client::{Client, rpc};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet};
use serde_json::json;

const ELICIT: &str = r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"mode":"form","message":"big 12345678901234567890","requestedSchema":{"type":"object","properties":{}},"_meta":{"progressToken":"t"}}}"#;

#[tokio::test]
async fn two_upstreams_ask_at_once_under_one_id() {
    let (a, b, gateway) = two(ELICIT, "").await;
    let client = client(&gateway).await;
    let (mut first, mut second) = (open(&client, 1, "a_ask").await, open(&client, 2, "b_ask").await);
    let exposed = |upstream: &str| {
        let id = format!(r#""id":"mm:{upstream}:0""#);
        let token = format!(r#""progressToken":"mm:{upstream}:\"t\"""#);
        ELICIT
            .replace(r#""id":0"#, &id)
            .replace(r#""progressToken":"t""#, &token)
    };
    let asked = |upstream| Some(event(&exposed(upstream)).trim_end().to_owned());
    assert_eq!(first.event().await, asked("a"));
    assert_eq!(second.event().await, asked("b"));
    // The second is answered first; each stream goes on for itself.
    let answer = r#"{"jsonrpc":"2.0","id":"mm:b:0","result":{"action":"accept","content":{"n":12345678901234567890}}}"#;
    assert_eq!(say(&client, answer).await, 202);
    assert_eq!(second.message().await["id"], 2);
    assert!(a.told().is_empty(), "it was not for this one");
    assert_eq!(
        say(
            &client,
            r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"no"},"id":"mm:a:0"}"#
        )
        .await,
        202
    );
    assert_eq!(first.message().await["id"], 1);
    let told = b.until_told().await;
    assert_eq!(told.text(), answer.replace(r#""mm:b:0""#, "0"), "the rest is as it was");
    assert_eq!(
        told.header("mcp-session-id"),
        b.puppet.posted("tools/call")[0].header("mcp-session-id")
    );
    assert_eq!(
        a.until_told().await.text(),
        r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"no"},"id":0}"#
    );
    assert_eq!(first.rest().await, "");
}

#[tokio::test]
async fn three_upstreams_ask_at_once_under_one_id_each_on_its_own_road() {
    let (a, b, c) = (
        Asker::start(ELICIT).await,
        Asker::start(ELICIT).await,
        Asker::start(ELICIT).await,
    );
    let gateway = Setup::new()
        .upstream_with("a", &a.puppet.url(), "via: envoy")
        .upstream_with("b", &b.puppet.url(), "via: direct")
        .upstream_with("c", &c.puppet.url(), "via: envoy")
        .up()
        .await;
    let client = client(&gateway).await;
    let mut streams = [
        open(&client, 1, "a_ask").await,
        open(&client, 2, "b_ask").await,
        open(&client, 3, "c_ask").await,
    ];
    let mut ids = Vec::new();
    for stream in &mut streams {
        ids.push(stream.message().await["id"].clone());
    }
    assert_eq!(ids, ["mm:a:0", "mm:b:0", "mm:c:0"]);
    for (at, id) in ids.iter().enumerate().rev() {
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept", "content": {"at": at}}});
        assert_eq!(say(&client, &answer.to_string()).await, 202);
        assert_eq!(streams[at].message().await["id"], at + 1);
    }
    for (at, asker) in [&a, &b, &c].into_iter().enumerate() {
        let told = asker.until_told().await.json();
        assert_eq!((&told["id"], &told["result"]["content"]["at"]), (&json!(0), &json!(at)));
        assert_eq!(asker.told().len(), 1, "nobody hears what others are told");
    }
}

#[tokio::test]
async fn progress_and_cancellation_reach_the_one_who_asked() {
    reported_and_cancelled("via: envoy").await;
}

#[tokio::test]
async fn progress_and_cancellation_reach_the_one_who_asked_directly() {
    reported_and_cancelled("via: direct").await;
}

async fn reported_and_cancelled(via: &str) {
    let (a, b, gateway) = two(ELICIT, via).await;
    let client = client(&gateway).await;
    let (mut first, _second) = (open(&client, 1, "a_ask").await, open(&client, 2, "b_ask").await);
    let token = first.message().await["params"]["_meta"]["progressToken"].clone();
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
    assert_eq!(say(&client, &progress.to_string()).await, 202);
    assert_eq!(a.until_told().await.json()["params"]["progressToken"], "t");
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2,"reason":"late"}}"#;
    assert_eq!(say(&client, cancelled).await, 202);
    assert_eq!(b.until_told().await.text(), cancelled);
    assert_eq!(a.told().len(), 1, "it is not its call");
    let unknown = cancelled.replace(":2,", ":77,");
    assert_eq!(say(&client, &unknown).await, 202, "nobody knows it");
    let roots = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    assert_eq!(say(&client, roots).await, 202);
    for upstream in [&a, &b] {
        upstream
            .puppet
            .until("all hear of the roots", |seen| {
                seen.iter().any(|seen| seen.text() == roots)
            })
            .await;
    }
}

#[tokio::test]
async fn an_upstream_takes_its_question_back() {
    let puppet = Puppet::start(&["ask"]).await;
    puppet.play(|seen| {
        (seen.method == "tools/call").then(|| {
            let mut text = super::HEAD.to_owned();
            text += &event(ELICIT);
            text += ": keep-alive\n\n";
            text += &event(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}"#);
            text += &event(
                r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#,
            );
            text += &event(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, seen.id));
            Act::SayAndLeave(text.into_bytes())
        })
    });
    let gateway = Setup::new().puppet("up", &puppet).up().await;
    let client = client(&gateway).await;
    let mut stream = open(&client, 7, "up_ask").await;
    assert_eq!(stream.message().await["id"], "mm:up:0");
    assert_eq!(stream.event().await.as_deref(), Some(": keep-alive"));
    assert_eq!(stream.message().await["params"]["requestId"], "mm:up:0");
    assert_eq!(stream.message().await["params"]["elicitationId"], "e");
    assert_eq!(stream.message().await["id"], 7);
    assert_eq!(stream.event().await, None);
}

#[tokio::test]
async fn an_upstream_that_dies_while_it_waits_leaves_nobody_hanging() {
    let asker = Asker::start(ELICIT).await;
    let gateway = Setup::new().puppet("up", &asker.puppet).up().await;
    let client = client(&gateway).await;
    let mut stream = open(&client, 1, "up_ask").await;
    assert_eq!(stream.message().await["id"], "mm:up:0");
    drop(asker);
    stream.rest().await;
    let answer = r#"{"jsonrpc":"2.0","id":"mm:up:0","result":{"action":"decline"}}"#;
    assert_eq!(say(&client, answer).await, 202, "whatever becomes of it");
}

#[tokio::test]
async fn a_ping_on_a_plain_session_is_answered_by_its_client() {
    let asker = Asker::start(r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#).await;
    let gateway = Setup::new().puppet("up", &asker.puppet).up().await;
    let client = gateway.client().await;
    assert!(client.session.starts_with("mp1."));
    let mut stream = open(&client, 1, "up_ask").await;
    assert_eq!(stream.message().await["id"], 5, "nobody looks at this stream");
    let pong = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    assert_eq!(say(&client, pong).await, 202);
    assert_eq!(asker.until_told().await.text(), pong);
    assert_eq!(stream.message().await["id"], 1);
}

#[tokio::test]
async fn a_ping_of_one_of_several_on_a_plain_session_is_answered() {
    const PING: &str = r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#;
    let (a, b, gateway) = two(PING, "").await;
    let client = gateway.client().await;
    let (mut first, mut second) = (open(&client, 1, "a_ask").await, open(&client, 2, "b_ask").await);
    assert_eq!(
        (&first.message().await["id"], &second.message().await["id"]),
        (&json!(5), &json!(5))
    );
    let pong = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    assert_eq!(say(&client, pong).await, 202);
    for asker in [&a, &b] {
        assert_eq!(asker.until_told().await.text(), pong);
    }
    assert_eq!(
        (&first.message().await["id"], &second.message().await["id"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_foreign_mark_leads_nowhere() {
    let asker = Asker::start(ELICIT).await;
    let gateway = Setup::new().puppet("up", &asker.puppet).up().await;
    let plain = gateway.client().await;
    let forged = plain.session.replacen("mp1.", "mi1.", 1);
    let forged = Client::known(gateway.address, &forged);
    let response = forged
        .request(rpc(1, "tools/call", &json!({"name": "up_ask"})))
        .send(gateway.address)
        .await;
    assert_eq!(response.status, 404, "{response:?}");
    let marked = Client::connect_as(gateway.address, "2025-11-25", &all()).await;
    assert!(marked.session.starts_with("mi1."));
    let stranger = Client::known(gateway.address, &marked.session.replacen("mi1.", "mp1.", 1));
    let response = stranger
        .request(rpc(1, "tools/call", &json!({"name": "up_ask"})))
        .send(gateway.address)
        .await;
    assert_eq!(response.status, 404, "{response:?}");
    assert!(asker.puppet.posted("tools/call").is_empty());
}
