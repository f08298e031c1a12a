//! What callers' own tokens show them: `listing: perPrincipal` with tokens that are forwarded, and that are made for it.

use super::exchanged::{keys, mk_endpoint, payload, with_secret};
use super::*;
use crate::e2e::harness::client::names;
use crate::e2e::harness::puppet::tool;

/// Who is spoken for: by a token that was made, or one that was passed on.
fn spoken_for(seen: &Seen) -> Option<String> {
    let token = seen.header("authorization")?.strip_prefix("Bearer ")?;
    let subject = match token.strip_prefix("made-for-") {
        Some(subject) => subject.to_owned(),
        None => payload(token)["sub"].as_str()?.to_owned(),
    };
    Some(subject)
}

/// A server with a tool for whoever asks.
async fn personal() -> Puppet {
    let puppet = Puppet::start(&[]).await;
    puppet.play(|seen| {
        let who = spoken_for(seen).unwrap_or_else(|| "nobody".to_owned());
        let tools = json!({"tools": [tool(&format!("for_{who}"))]});
        (seen.method == "tools/list").then(|| seen.result(&tools))
    });
    puppet
}

#[tokio::test]
async fn everybody_sees_what_their_own_token_shows() {
    let (issuer, endpoint) = (Issuer::start().await, mk_endpoint().await);
    let (passed, made) = (personal().await, personal().await);
    let exchange = format!("listing: perPrincipal, {}", keys(&endpoint));
    let setup = with_secret(&issuer)
        .upstream_with(
            "f",
            &passed.url(),
            "listing: perPrincipal, credential: { forward: true }",
        )
        .upstream_with("x", &made.url(), &exchange);
    let gateway = started(setup, &issuer, &[]).await;
    for (name, other) in [("alice", "bob"), ("bob", "alice")] {
        let visitor = Visitor::new(&gateway, &issuer, name);
        let session = visitor.begin().await;
        let list = Request::post(rpc(7, "tools/list", &json!({})))
            .session(&session)
            .with("mcp-protocol-version", "2025-11-25");
        let legacy = visitor.send(list).await.message();
        let own = [format!("f_for_{name}"), format!("x_for_{name}")];
        assert_eq!(names(&legacy["result"]["tools"]), own, "{legacy}");
        let modern = visitor.send(modern(7, "tools/list", &json!({}))).await.message();
        assert_eq!(names(&modern["result"]["tools"]), own, "{modern}");
        assert_eq!(modern["result"]["cacheScope"], "private", "{modern}");
        for (puppet, upstream) in [(&passed, "f"), (&made, "x")] {
            puppet.forget_requests();
            assert_eq!(
                visitor.call(&session, &format!("{upstream}_for_{name}")).await.status,
                200
            );
            let calls = puppet.posted("tools/call");
            assert_eq!(calls.len(), 1, "{calls:?}");
            assert_eq!(spoken_for(&calls[0]).as_deref(), Some(name), "{calls:?}");
            let theirs = visitor.call(&session, &format!("{upstream}_for_{other}")).await;
            assert_eq!(theirs.message()["error"]["code"], -32602, "{theirs:?}");
            assert_eq!(puppet.posted("tools/call").len(), 1, "it never got there");
        }
    }
}
