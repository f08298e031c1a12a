//! What callers show themselves: claims in headers, and the token where an upstream says so.

use super::*;
use crate::e2e::harness::eventually;
use crate::e2e::harness::gateway::Wiring;
use crate::e2e::harness::stream::Stream;
use std::sync::Arc;
use tokio::sync::watch;

#[tokio::test]
async fn claims_name_the_caller_on_every_way() {
    let (issuer, ways) = (Issuer::start().await, Ways::start().await);
    let keys = "headers: { x-user: '{claims.sub}', x-key: 'k {principal}', x-mail: '{claims.crooked}', x-team: a }";
    let mut gateway = started(
        ways.add(guarded(&issuer, ""), keys),
        &issuer,
        &["envoy", "direct", "modern"],
    )
    .await;
    for puppet in ways.all() {
        for seen in puppet.seen() {
            assert_eq!(
                seen.header("x-user"),
                None,
                "the gateway itself is nobody's caller: {seen:?}"
            );
        }
    }
    ways.forget();
    let (alice, bob) = (
        Visitor::new(&gateway, &issuer, "alice"),
        Visitor::new(&gateway, &issuer, "bob"),
    );
    tokio::join!(alice.tour(), bob.tour());
    for puppet in ways.all() {
        assert_spoke(puppet, "x-user", &everybody(str::to_owned, ["alice", "bob"])).await;
        let principal = |name: &str| format!("k {}|{name}", issuer.name());
        assert_spoke(puppet, "x-key", &everybody(principal, ["alice", "bob"])).await;
        for call in puppet.posted("tools/call") {
            assert_eq!(call.header("x-mail"), None, "what cannot be sent is left out: {call:?}");
            assert_eq!((call.header("x-team"), call.header("authorization")), (Some("a"), None));
        }
    }
    let tokens = [alice.token.clone(), bob.token.clone()];
    assert_hidden(&mut gateway, &[&tokens[0], &tokens[1]]).await;
}

#[tokio::test]
async fn a_token_goes_to_the_upstream_that_says_so_and_to_no_other() {
    let (issuer, ways, other) = (
        Issuer::start().await,
        Ways::start().await,
        Puppet::start(&["echo"]).await,
    );
    let setup = ways.add(guarded(&issuer, ""), "credential: { forward: true }");
    let setup = setup.puppet("other", &other);
    let mut gateway = started(setup, &issuer, &["envoy", "direct", "modern", "other"]).await;
    ways.forget();
    let (alice, bob) = (
        Visitor::new(&gateway, &issuer, "alice"),
        Visitor::new(&gateway, &issuer, "bob"),
    );
    let elsewhere = async {
        let session = alice.begin().await;
        assert!(alice.call(&session, "other_echo").await.text().contains("echo"));
    };
    tokio::join!(alice.tour(), bob.tour(), elsewhere);
    let expected = BTreeMap::from([("alice", alice.authorization()), ("bob", bob.authorization())]);
    for puppet in ways.all() {
        assert_spoke(puppet, "authorization", &expected).await;
    }
    for seen in other.seen() {
        assert_eq!(seen.header("authorization"), None, "{seen:?}");
    }
    let tokens = [alice.token.clone(), bob.token.clone()];
    let own = [tokens[0].as_str(), tokens[1].rsplit('.').next().expect("a signature")];
    assert_hidden(&mut gateway, &own).await;
}

#[tokio::test]
async fn a_lost_session_is_opened_again_as_the_same_caller() {
    let (issuer, ways) = (Issuer::start().await, Ways::start().await);
    let setup = ways.add(guarded(&issuer, ""), "credential: { forward: true }");
    let gateway = started(setup, &issuer, &["envoy", "direct", "modern"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    for (tool, puppet) in [("envoy_echo", &ways.envoy), ("direct_echo", &ways.direct)] {
        assert!(alice.call(&session, tool).await.text().contains("echo"));
        puppet.lose_sessions(404);
        puppet.forget_requests();
        let again = alice.call(&session, tool).await;
        assert_eq!(again.message()["result"]["content"][0]["text"], "echo", "{again:?}");
        let own = |seen: &Seen| seen.text().contains("\"test\"") || seen.method == "tools/call";
        for seen in puppet.seen().iter().filter(|seen| own(seen)) {
            assert_eq!(seen.header("authorization"), Some(&*alice.authorization()), "{seen:?}");
        }
        assert!(puppet.posted("initialize").iter().any(own), "opened again");
    }
}

#[tokio::test]
async fn a_newer_token_of_the_caller_takes_the_place_of_the_older() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let setup = guarded(&issuer, "").upstream_with("a", &puppet.url(), "credential: { forward: true }");
    let gateway = started(setup, &issuer, &["a"]).await;
    let mut alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    let mut claims = issuer.claims("alice", crate::e2e::guarded::identity::OWN);
    claims["jti"] = json!("newer");
    alice.token = issuer.key.sign(&claims);
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    puppet.forget_requests();
    let message = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}).to_string();
    let told = alice.send(Request::post(message).session(&session)).await;
    assert_eq!(told.status, 202, "{told:?}");
    let ended = alice.send(Request::bare("DELETE").session(&session)).await;
    assert_eq!(ended.status, 200);
    let over = |seen: &[Seen]| seen.iter().any(|seen| seen.verb == "DELETE");
    puppet.until("the upstream session is over", over).await;
    let of_session = puppet
        .seen()
        .into_iter()
        .filter(|seen| seen.method.contains("roots") || seen.verb == "DELETE");
    let mut count = 0;
    for seen in of_session {
        count += 1;
        assert_eq!(seen.header("authorization"), Some(&*alice.authorization()), "{seen:?}");
    }
    assert_eq!(count, 2);
}

#[tokio::test]
async fn who_has_nothing_to_show_is_refused_and_nothing_goes_out() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let keys = "- { name: ci, sha256: 2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683 }\n";
    for (credential, anonymous, by_key) in [
        (
            "{ forward: true }",
            "on behalf of known callers",
            "the token of its caller",
        ),
        (
            "{ header: X-Key, value: 'u {claims.sub}' }",
            "on behalf of known callers",
            "a claim of its caller",
        ),
    ] {
        let more = ", required: false, apiKeys: { header: x-api-key, file: keys.yaml }";
        let setup = guarded(&issuer, more).upstream_with("a", &puppet.url(), &format!("credential: {credential}"));
        std::fs::write(setup.folder.path().join("keys.yaml"), keys).expect("written");
        let gateway = started(setup, &issuer, &["a"]).await;
        puppet.forget_requests();
        for (key, words) in [(None, anonymous), (Some("key"), by_key)] {
            let dressed = |request: Request| match key {
                Some(key) => request.with("x-api-key", key),
                None => request,
            };
            let begun = dressed(initialize("2025-11-25", &json!({})))
                .send(gateway.address)
                .await;
            let session = begun.header("mcp-session-id").expect("a session");
            let call = rpc(1, "tools/call", &json!({"name": "a_echo", "arguments": {}}));
            let answer = dressed(Request::post(call).session(session))
                .send(gateway.address)
                .await;
            let error = answer.message()["error"].clone();
            assert_eq!(error["code"], -31011, "{answer:?}");
            assert!(
                error["message"].as_str().is_some_and(|text| text.contains(words)),
                "{answer:?}"
            );
        }
        assert_eq!(puppet.posted("tools/call").len(), 0);
    }
}

#[tokio::test]
async fn a_transparent_path_speaks_for_its_caller_too() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    for wiring in [Wiring::FullDuplex, Wiring::Buffered] {
        let setup = guarded(&issuer, "")
            .with("transparent: [{ path: /mcp, upstream: a }]")
            .upstream_with(
                "a",
                &puppet.url(),
                "merge: false, headers: { x-user: '{claims.sub}' }, credential: { forward: true }",
            );
        let gateway = setup.start(wiring).await;
        until_keys(&gateway, &issuer.token("warm-up")).await;
        puppet.forget_requests();
        let alice = Visitor::new(&gateway, &issuer, "alice");
        let session = alice.begin().await;
        let answer = alice.call(&session, "echo").await;
        assert_eq!(
            answer.message()["result"]["content"][0]["text"],
            "echo",
            "{wiring:?}: {answer:?}"
        );
        let ended = alice.send(Request::bare("DELETE").session(&session)).await;
        assert_eq!(ended.status, 200, "{ended:?}");
        for seen in puppet
            .seen()
            .iter()
            .filter(|seen| seen.verb == "DELETE" || seen.text().contains("alice"))
        {
            assert_eq!(seen.header("x-user"), Some("alice"), "{seen:?}");
            assert_eq!(seen.header("authorization"), Some(&*alice.authorization()), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn the_gateway_lists_with_a_credential_of_its_own() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    puppet.also(|seen| seen.header("authorization").is_none().then(|| Act::text(401, "{}")));
    let keys = "credential: { forward: true, discovery: { env: LISTING } }";
    let setup = guarded(&issuer, "").variable("LISTING", "Bearer of-the-gateway");
    let mut gateway = started(setup.upstream_with("a", &puppet.url(), keys), &issuer, &["a"]).await;
    puppet.forget_requests();
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    for seen in puppet
        .seen()
        .iter()
        .filter(|seen| seen.method == "tools/call" || seen.text().contains("\"test\""))
    {
        assert_eq!(seen.header("authorization"), Some(&*alice.authorization()), "{seen:?}");
    }
    eventually("the call is written down", async || {
        gateway.programs[0].err().contains("a_echo")
    })
    .await;
    assert_hidden(&mut gateway, &["of-the-gateway"]).await;
}

#[tokio::test]
async fn the_sessions_own_stream_is_opened_as_its_caller_and_again_after_a_restart() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n";
    puppet.also(move |seen| {
        let own = seen.verb == "GET" && seen.header("authorization").is_some();
        own.then(|| Act::Pour(head.to_vec(), Vec::new(), Arc::new(watch::channel(false).0)))
    });
    let setup = guarded(&issuer, "").upstream_with("a", &puppet.url(), "credential: { forward: true }");
    let gateway = started(setup, &issuer, &["a"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    let get = |session: &str| {
        alice.dressed(
            Request::bare("GET")
                .session(session)
                .with("accept", "text/event-stream"),
        )
    };
    let authorization = alice.authorization();
    let opened = |seen: &[Seen]| {
        let mut own = seen
            .iter()
            .filter(|seen| seen.verb == "GET" && seen.header("mcp-session-id").is_some());
        own.any(|seen| seen.header("authorization") == Some(&*authorization))
    };
    puppet.forget_requests();
    let stream = Stream::open(gateway.address, &get(&session)).await;
    assert_eq!(stream.status, 200);
    puppet.until("its stream is opened", opened).await;
    drop(stream);
    // What comes before the end of a session is on disk when that is answered.
    let other = alice.begin().await;
    let ended = alice.send(Request::bare("DELETE").session(&other)).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let get = get(&session);
    let gateway = gateway.kill().up().await;
    until_keys(&gateway, &issuer.token("warm-up")).await;
    puppet.forget_requests();
    let stream = Stream::open(gateway.address, &get).await;
    assert_eq!(stream.status, 200);
    puppet
        .until("what the stream's own client has shown is enough", opened)
        .await;
}

#[tokio::test]
async fn the_first_upstream_that_wants_tokens_comes_with_a_reload() {
    let (issuer, puppet) = (Issuer::start().await, Puppet::start(&["echo"]).await);
    let setup = guarded(&issuer, "").puppet("a", &puppet);
    let gateway = started(setup, &issuer, &["a"]).await;
    let alice = Visitor::new(&gateway, &issuer, "alice");
    let session = alice.begin().await;
    assert!(alice.call(&session, "a_echo").await.text().contains("echo"));
    let last = || puppet.posted("tools/call").pop().expect("called");
    assert_eq!(last().header("authorization"), None, "the token stays at the gateway");
    let setup = gateway.setup.clone().without_upstreams();
    setup
        .upstream_with("a", &puppet.url(), "credential: { forward: true }")
        .write();
    eventually("the token goes on", async || {
        alice.call(&session, "a_echo").await;
        last().header("authorization") == Some(&*alice.authorization())
    })
    .await;
}
