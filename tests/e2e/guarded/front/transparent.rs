//! Transparent paths: one server behind a path of its own, untouched, and still guarded.

use crate::e2e::harness::client::{Client, Request, initialize, modern, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup, Wiring};
use crate::e2e::harness::http;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::harness::stream::Stream;
use crate::e2e::harness::{check, eventually};
use crate::e2e::process;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::Command;
use tokio::sync::watch;

/// As odd as JSON may be.
const ODD: &str = "{ \"jsonrpc\":\"2.0\",\n\"params\":{\"arguments\":{\"q\":12345678901234567890.10,\"\\u0061\":\"\\u00e4\"},\
                   \"name\":\"echo\"}, \"id\":\"x\\/1\",\"method\":\"tools/call\" , \"more\":[ ]}";

/// The hash of `key-of-ann`.
const KEYS: &str =
    "- { name: ann, sha256: ca64daa8b294dc4835d29ca02a6a47427ebc6a225ea3ac2e15f8417fb6601db2, roles: [] }\n";

/// The puppet alone on `/one`, and on the gateway's own path; nothing merged.
async fn mk_alone(puppet: &Puppet, more: &str, wiring: Wiring) -> Gateway {
    let upstream = "merge: false, via: envoy, timeout: { call: 2s }, headers: { x-team: tools }, \
                    credential: { header: Authorization, value: { env: FRONT_TOKEN } }";
    let setup = Setup::new()
        .with(&format!(
            "transparent: [{{ path: /one, upstream: a, inputHeaders: [X-Tenant]{more} }}, {{ path: /mcp, upstream: a }}]"
        ))
        .variable("FRONT_TOKEN", "Bearer of-the-gateway")
        .upstream_with("a", &puppet.url(), upstream);
    setup.start(wiring).await
}

fn post(body: &str) -> Request {
    Request::post(body).path("/one")
}

#[tokio::test]
async fn bytes_and_sessions_are_the_servers_own_in_every_wiring() {
    for (more, wiring) in [
        ("", Wiring::FullDuplex),
        (", opaque: true", Wiring::FullDuplex),
        ("", Wiring::Buffered),
        (", opaque: true", Wiring::Buffered),
    ] {
        let what = format!("{wiring:?}{more}");
        let puppet = Puppet::start(&["echo"]).await;
        let gateway = mk_alone(&puppet, more, wiring).await;
        puppet.forget_requests();
        let begun = initialize("2025-11-25", &json!({}))
            .path("/one")
            .send(gateway.address)
            .await;
        assert_eq!(begun.status, 200, "{what}: {begun:?}");
        let session = begun.header("mcp-session-id").expect("the server's").to_owned();
        assert!(
            puppet.sessions().contains(&session),
            "{what}: {session} is the server's own"
        );
        let request = post(ODD)
            .session(&session)
            .with("x-tenant", "t")
            .with("authorization", "Bearer of-the-client")
            .with("cookie", "a=b")
            .with("x-other", "o")
            .with("mcp-param-region", "eu")
            .in_chunks(7);
        let answer = request.send(gateway.address).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert_eq!(answer.text().matches(r#""id":"x\/1""#).count(), 1, "{what}: {answer:?}");
        let seen = puppet.posted("tools/call").pop().expect("it arrived");
        assert_eq!(seen.text(), ODD, "{what}");
        assert_eq!(seen.path, "/mcp", "{what}");
        for (name, value) in [
            ("authorization", Some("Bearer of-the-gateway")),
            ("x-team", Some("tools")),
            ("x-tenant", Some("t")),
            ("mcp-param-region", Some("eu")),
            ("mcp-session-id", Some(session.as_str())),
            ("cookie", None),
            ("x-other", None),
            ("x-mcp-transparent", None),
            ("x-mcp-route-key", None),
            ("x-forwarded-for", None),
        ] {
            assert_eq!(seen.header(name), value, "{what}: {name}");
        }
        let gone = Request::bare("DELETE")
            .path("/one")
            .session(&session)
            .send(gateway.address)
            .await;
        assert_eq!(gone.status, 200, "{what}: {gone:?}");
        assert!(!puppet.sessions().contains(&session), "{what}");
        let after = post(ODD).session(&session).send(gateway.address).await;
        assert_eq!(after.status, 404, "{what}: the server's own word: {after:?}");
        let nothing = Request::bare("GET").path("/two").send(gateway.address).await;
        assert_eq!(nothing.status, 404, "{what}: nobody else is there");
    }
}

#[tokio::test]
async fn streams_are_never_cut_and_everything_else_has_a_deadline() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = mk_alone(&puppet, "", Wiring::FullDuplex).await;
    let (open, gate) = watch::channel(false);
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n".to_vec();
    puppet.play(move |seen| {
        let rest = Act::SayAndLeave(b"data: 2\n\n".to_vec());
        let streams = seen.verb == "GET" || seen.method == "tools/call";
        match seen.method.as_str() {
            _ if streams => Some(Act::SayThen(head.clone(), gate.clone(), Box::new(rest))),
            "ping" | "notifications/x" => Some(Act::Hang),
            _ => None,
        }
    });
    let get = Request::bare("GET").path("/one").with("accept", "text/event-stream");
    let mut streams = vec![
        Stream::open(gateway.address, &get).await,
        Stream::open(gateway.address, &post(ODD)).await,
    ];
    for stream in &mut streams {
        assert_eq!(stream.event().await.as_deref(), Some("data: 1"), "at once");
    }
    // This one takes longer than the deadline: the streams outlive it.
    let overdue = post(&rpc(7, "ping", &json!({}))).send(gateway.address).await;
    check::refused("a call that is never answered", &overdue, 200, -31013, "7");
    let silent = post(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#)
        .send(gateway.address)
        .await;
    check::refused("a notification", &silent, 504, -31013, "null");
    open.send(true).expect("the streams wait");
    for stream in &mut streams {
        assert_eq!(stream.event().await.as_deref(), Some("data: 2"), "to the end");
    }
}

#[tokio::test]
async fn a_dead_server_is_an_error_of_json_rpc() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = mk_alone(&puppet, "", Wiring::FullDuplex).await;
    drop(puppet);
    let call = post(&rpc("k", "tools/call", &json!({"name": "echo"})))
        .send(gateway.address)
        .await;
    let message = check::refused("a call", &call, 200, -31010, r#""k""#);
    assert_eq!(message["error"]["data"]["upstream"], "a");
    let stream = Request::bare("GET").path("/one").send(gateway.address).await;
    check::refused("a stream", &stream, 503, -31010, "null");
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_does_not_pass() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = mk_alone(&puppet, "", Wiring::FullDuplex).await;
    puppet.forget_requests();
    let call = rpc(1, "tools/call", &json!({"name": "echo", "arguments": {}}));
    let two = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"other"}}"#;
    let escaped = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"other"}}"#;
    for (what, code, request) in [
        ("a batch", -32600, post(&format!("[{call}]"))),
        ("a batch of one kind", -32600, post(&format!("[{call},{call}]"))),
        ("a name given twice", -32600, post(two)),
        ("a name given twice, escaped", -32600, post(escaped)),
        (
            "a header that names another tool",
            -32020,
            post(&call).with("mcp-name", "other"),
        ),
        (
            "a header that names another method",
            -32020,
            post(&call).with("mcp-method", "tools/list"),
        ),
        ("not JSON", -32700, post("{\"jsonrpc\":")),
    ] {
        let response = request.send(gateway.address).await;
        assert_eq!(response.status, 400, "{what}: {response:?}");
        assert_eq!(response.message()["error"]["code"], code, "{what}: {response:?}");
    }
    let form = post(&call)
        .with("content-type", "text/plain")
        .send(gateway.address)
        .await;
    assert_eq!(form.status, 415, "a form of any page could say so: {form:?}");
    let with_body = Request::bare("GET").path("/one").with("content-length", "2");
    let bytes = [with_body.bytes(), b"{}".to_vec()].concat();
    let response = http::exchange(gateway.address, &bytes).await.expect("a response");
    assert_eq!(response.status, 415, "{response:?}");
    assert_eq!(puppet.seen().len(), 0, "nothing of it arrived");
}

#[tokio::test]
async fn forged_headers_and_foreign_pages_get_no_further_than_elsewhere() {
    for more in ["", ", opaque: true"] {
        let puppet = Puppet::start(&["echo"]).await;
        let gateway = mk_alone(&puppet, more, Wiring::FullDuplex).await;
        puppet.play(|seen| (seen.method == "tools/list").then(|| seen.result(&json!({"tools": []}))));
        puppet.forget_requests();
        let call = rpc(1, "tools/list", &json!({}));
        for (what, status, request) in [
            (
                "a foreign page",
                403,
                post(&call).with("origin", "https://evil.example"),
            ),
            ("a foreign host", 403, post(&call).with("host", "evil.example")),
            (
                "the way out",
                404,
                Request::post(&call)
                    .path("/x")
                    .with("x-mcp-route-key", "k")
                    .with("x-mcp-upstream", "a"),
            ),
            ("another path", 404, Request::post(&call).path("/one/two")),
            ("an underscore", 400, post(&call).with("x_mcp_upstream", "b")),
        ] {
            let response = request.send(gateway.address).await;
            assert_eq!(response.status, status, "{what}{more}: {response:?}");
        }
        assert_eq!(puppet.seen().len(), 0, "{more}: nothing of it arrived");
        let forged = post(&call)
            .with("x-mcp-upstream", "b")
            .with("x-mcp-transparent", "0")
            .with("x-mcp-tool", "t");
        let response = forged.send(gateway.address).await;
        assert_eq!(response.status, 200, "{more}: {response:?}");
        let seen = puppet.seen().pop().expect("it arrived");
        let own = seen.headers.iter().find(|(name, _)| name.starts_with("x-mcp-"));
        assert_eq!(own, None, "{more}");
    }
}

#[tokio::test]
async fn one_server_can_be_merged_and_have_a_path_of_its_own() {
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new().with("transparent: [{ path: /one, upstream: a }]\naudit: { file: audit.jsonl }");
    let gateway = setup.upstream_with("a", &puppet.url(), "via: envoy").up().await;
    assert!(gateway.ready.contains("1/1 upstreams"), "it is one: {}", gateway.ready);
    let merged = gateway.client().await;
    assert_eq!(merged.tools().await, ["a_echo"]);
    let own = initialize("2025-11-25", &json!({}))
        .path("/one")
        .send(gateway.address)
        .await;
    let session = own.header("mcp-session-id").expect("the server's").to_owned();
    let listed = post(&rpc(2, "tools/list", &json!({})))
        .session(&session)
        .send(gateway.address)
        .await;
    assert_eq!(
        listed.message()["result"]["tools"][0]["name"],
        "echo",
        "as the server says it"
    );
    let foreign = post(&rpc(3, "ping", &json!({})))
        .session(&merged.session)
        .send(gateway.address)
        .await;
    assert_eq!(foreign.status, 404, "the gateway's sessions are none of the server's");
    let foreign = Client::known(gateway.address, &session).ask("ping", &json!({})).await;
    assert_eq!(foreign.status, 404, "nor the other way round");
    let audit = gateway.setup.folder.path().join("audit.jsonl");
    let called = post(&rpc(4, "tools/call", &json!({"name": "echo"})))
        .session(&session)
        .send(gateway.address)
        .await;
    assert_eq!(called.status, 200);
    eventually("the audit knows the tool", async || {
        let text = std::fs::read_to_string(&audit).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .into_iter()
            .any(|line| line["tool"] == "echo" && line["upstream"] == "a" && line["way"] == "forward")
    })
    .await;
}

#[tokio::test]
async fn requests_of_the_modern_era_pass_as_well() {
    let puppet = Puppet::start(&["echo"]).await;
    let gateway = mk_alone(&puppet, "", Wiring::FullDuplex).await;
    puppet.play(|seen| (seen.method == "tools/call").then(|| seen.result(&json!({"content": []}))));
    let call = modern(5, "tools/call", &json!({"name": "echo"}))
        .path("/one")
        .send(gateway.address)
        .await;
    assert_eq!(call.message()["id"], 5, "{call:?}");
    let seen = puppet.posted("tools/call").pop().expect("it arrived");
    assert_eq!(seen.header("mcp-name"), Some("echo"));
}

#[tokio::test]
async fn what_is_asked_and_counted_elsewhere_is_asked_and_counted_here() {
    for more in ["", ", opaque: true"] {
        let puppet = Puppet::start(&["echo"]).await;
        let keys = Setup::new()
            .with(&format!("transparent: [{{ path: /one, upstream: a{more} }}]"))
            .with("authentication: { required: true, apiKeys: { header: x-key, file: keys.yaml } }")
            .with("rateLimits: [{ name: two, per: [principal], limit: 2/min }]")
            .with("cors: { origins: [https://app.example.com] }\nsecurityHeaders: true");
        let keys = keys.upstream_with("a", &puppet.url(), "merge: false, via: envoy");
        std::fs::write(keys.folder.path().join("keys.yaml"), KEYS).expect("written");
        let gateway = keys.up().await;
        puppet.play(|seen| (seen.method == "tools/call").then(|| seen.result(&json!({"content": []}))));
        puppet.forget_requests();
        let call = post(&rpc(1, "tools/call", &json!({"name": "echo"})));
        let nobody = call.send(gateway.address).await;
        assert_eq!(nobody.status, 401, "{more}: {nobody:?}");
        assert!(nobody.header("www-authenticate").is_some(), "{more}: {nobody:?}");
        assert_eq!(nobody.header("x-frame-options"), Some("DENY"), "{more}");
        assert_eq!(puppet.seen().len(), 0, "{more}: nothing of it arrived");
        let ann = call
            .with("x-key", "key-of-ann")
            .with("origin", "https://app.example.com");
        for _ in 0..2 {
            let response = ann.send(gateway.address).await;
            assert_eq!(response.status, 200, "{more}: {response:?}");
            assert_eq!(
                response.header("access-control-allow-origin"),
                Some("https://app.example.com"),
                "{more}"
            );
        }
        assert!(
            puppet.seen().iter().all(|seen| seen.header("x-key").is_none()),
            "{more}: her key is the gateway's"
        );
        let third = ann.send(gateway.address).await;
        assert_eq!(third.status, 429, "{more}: {third:?}");
        assert_eq!(third.message()["error"]["code"], -31012, "{more}");
    }
}

#[tokio::test]
async fn rules_by_tool_and_arguments_hold_on_a_path_that_is_not_opaque() {
    let puppet = Puppet::start(&["echo", "pay", "wipe"]).await;
    let setup = Setup::new()
        .with("transparent: [{ path: /one, upstream: a }, { path: /dark, upstream: a, opaque: true }]")
        .with("policies: { rules: [{ name: no-wipe, deny: \"tool.name == 'wipe'\" },")
        .with("  { name: small, deny: \"tool.name == 'pay' && arguments.amount > 100\", message: Too much }] }");
    let setup = setup.upstream_with("a", &puppet.url(), "merge: false, via: envoy");
    let gateway = setup.up().await;
    puppet.play(|seen| (seen.method == "tools/call").then(|| seen.result(&json!({"content": []}))));
    let call = |tool: &str, amount: u32| rpc(1, "tools/call", &json!({"name": tool, "arguments": {"amount": amount}}));
    for (what, code, body) in [
        ("a tool that nobody may call", -32602, call("wipe", 1)),
        (
            "the same, escaped",
            -32602,
            call("wipe", 1).replace("wipe", "\\u0077ipe"),
        ),
        ("an argument", -31011, call("pay", 101)),
    ] {
        let response = post(&body).send(gateway.address).await;
        check::refused(what, &response, 200, code, "1");
    }
    let silent = call("wipe", 1).replace("\"id\":1,", "");
    let silent = post(&silent).send(gateway.address).await;
    assert_eq!(
        silent.status, 400,
        "a call that waits for no answer is a call: {silent:?}"
    );
    let batch = post(&format!("[{}]", call("wipe", 1))).send(gateway.address).await;
    assert_eq!(batch.status, 400, "{batch:?}");
    assert_eq!(puppet.posted("tools/call").len(), 0, "nothing of it arrived");
    for (path, body) in [
        ("/one", call("pay", 100)),
        ("/one", call("echo", 1)),
        ("/dark", call("wipe", 1)),
    ] {
        let response = Request::post(&body).path(path).send(gateway.address).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(
            puppet.posted("tools/call").pop().expect("it arrived").text(),
            body,
            "{path}: to the byte"
        );
    }
}

/// As they are configured in KrakenD's own example: `/mcp` itself leads to a server by others.
#[tokio::test]
async fn real_clients_reach_a_real_server_through_the_gateways_own_path() {
    let (_server, url) = process::everything();
    let setup =
        Setup::new().with("transparent: [{ path: /mcp, upstream: everything, inputHeaders: [HeaderNeededByYourMCP] }]");
    let gateway = setup
        .upstream_with("everything", &url, "merge: false, via: envoy")
        .up()
        .await;
    for client in ["tests/clients/ts-v1.mjs", "tests/clients/ts-v2.mjs"] {
        let mut node = Command::new(tools::node());
        node.arg(tools::source(client))
            .args([&gateway.url(), "echo", r#"{"message":"through"}"#]);
        let run = tokio::task::spawn_blocking(move || node.output());
        let output = run.await.expect("it does not panic").expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{client}: {output:?}");
        assert!(said.contains("Echo: through"), "{client}: {said}");
    }
}
