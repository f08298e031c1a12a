//! A client that does not come back with what it was asked for in time.

use super::call;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Act, Puppet, Seen};
use serde_json::{Value, json};
use tokio::sync::watch;

const QUESTION: &str = r#"{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"message":"Name?","requestedSchema":{"type":"object","properties":{}}}}"#;

#[tokio::test]
async fn a_call_that_nobody_comes_back_for_is_given_up_at_the_upstream_and_its_state_is_refused() {
    let puppet = Puppet::start(&["ask"]).await;
    let (_never, gate) = watch::channel(false);
    puppet.play(move |seen| {
        (seen.method == "tools/call").then(|| {
            let question = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {QUESTION}\n\n");
            Act::SayThen(question.into_bytes(), gate.clone(), Box::new(Act::Hang))
        })
    });
    let gateway = Setup::new()
        .puppet("old", &puppet)
        .with("session: { parked: 1s }")
        .up()
        .await;
    let listed = |row: &Value| row["tools"].as_u64().is_some_and(|tools| tools > 0);
    gateway.until_upstream("old", "is listed", listed).await;
    let asked = call(1, "old_ask", json!({"arguments": {}})).send(gateway.address).await;
    let asked = &asked.message()["result"];
    assert_eq!(asked["resultType"], "input_required", "{asked}");

    let made = puppet.posted("tools/call").remove(0);
    let session = made.header("mcp-session-id").map(str::to_owned);
    let of_it = |seen: &Seen| seen.header("mcp-session-id").map(str::to_owned) == session;
    puppet
        .until("the upstream hears that nobody waits", |all| {
            let cancelled = |seen: &Seen| of_it(seen) && seen.method == "notifications/cancelled";
            let ended = |seen: &Seen| of_it(seen) && seen.verb == "DELETE";
            all.iter().any(cancelled) && all.iter().any(ended)
        })
        .await;
    let cancelled = puppet.posted("notifications/cancelled").remove(0);
    assert_eq!(cancelled.json()["params"]["requestId"].to_string(), made.id);

    let answers = json!({"input-1": {"action": "accept", "content": {}}});
    let late = json!({"arguments": {}, "inputResponses": answers, "requestState": asked["requestState"]});
    let refused = call(2, "old_ask", late).send(gateway.address).await;
    assert_eq!(refused.status, 200, "{refused:?}");
    assert_eq!(refused.message()["error"]["code"], -32602, "{refused:?}");
    assert_eq!(puppet.posted("tools/call").len(), 1, "it is not made again");
}
