//! For each audience the list is the set of what can be called.

use super::{code, connect, modern_as, modern_tools};
use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Request, modern, names, rpc};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;
use sha2::{Digest, Sha256};

/// What a client calls itself, and what it lists.
type Audience = (&'static str, &'static [&'static str]);

const ALL: [&str; 5] = ["one_alpha", "one_beta", "one_beta_delete", "two_alpha", "two_gamma"];

async fn puppets() -> (Puppet, Puppet) {
    let one = Puppet::start(&["alpha", "beta", "beta_delete"]).await;
    (one, Puppet::start(&["alpha", "gamma"]).await)
}

#[tokio::test]
async fn what_an_audience_lists_is_what_it_can_call() {
    let cases: [(&str, &[Audience]); 4] = [
        (
            r#"policies: { rules: [ { name: r, deny: "tool.name.endsWith('_delete') && client.name != 'admin'" } ] }"#,
            &[
                ("admin", &ALL),
                ("cli", &["one_alpha", "one_beta", "two_alpha", "two_gamma"]),
            ],
        ),
        (
            r#"policies: { default: deny, rules: [ { name: r, allow: "tool.upstream == 'two' && client.name == 'cli'" }, { name: s, allow: "tool.upstreamName == 'beta'" } ] }"#,
            &[
                ("cli", &["one_beta", "two_alpha", "two_gamma"]),
                ("other", &["one_beta"]),
            ],
        ),
        (
            r#"policies: { rules: [ { name: r, deny: "client.name.contains('bad') && method == 'tools/call'" }, { name: s, deny: "claims.nothing == 1 && tool.name == 'two_gamma'" } ] }"#,
            &[
                ("bad one", &[]),
                ("good", &["one_alpha", "one_beta", "one_beta_delete", "two_alpha"]),
            ],
        ),
        (
            r#"policies: { default: deny, rules: [ { name: r, require: { roles: [x] }, when: "tool.upstream == 'one'" }, { name: s, allow: "has(tool.name)" } ] }"#,
            &[("anybody", &["two_alpha", "two_gamma"])],
        ),
    ];
    let (one, two) = puppets().await;
    for (policies, audiences) in cases {
        let gateway = Setup::new()
            .with(policies)
            .puppet("one", &one)
            .puppet("two", &two)
            .up()
            .await;
        for (name, expected) in audiences {
            let client = connect(&gateway, name).await;
            assert_eq!(client.tools().await, *expected, "{policies} {name}");
            assert_eq!(client.tools().await, *expected, "{policies} {name}: the second time");
            assert_eq!(
                modern_tools(&gateway, name).await,
                *expected,
                "{policies} {name}, modern"
            );
            for tool in ALL {
                let params = json!({"name": tool, "arguments": {}});
                one.forget_requests();
                two.forget_requests();
                let legacy = client
                    .request(rpc(7, "tools/call", &params))
                    .send(gateway.address)
                    .await;
                let modern = modern_as(name, "tools/call", &params).send(gateway.address).await;
                let calls = one.posted("tools/call").len() + two.posted("tools/call").len();
                if expected.contains(&tool) {
                    answered(tool, &legacy, "7");
                    answered(tool, &modern, "1");
                    assert_eq!(calls, 2, "{policies} {name} {tool}");
                } else {
                    let message = refused(tool, &legacy, 200, -32602, "7");
                    assert_eq!(
                        message["error"]["message"],
                        format!("Unknown tool: {tool}"),
                        "as any unknown one"
                    );
                    refused(tool, &modern, 200, -32602, "1");
                    assert_eq!(calls, 0, "{policies} {name} {tool}");
                }
            }
        }
    }
}

#[tokio::test]
async fn lists_that_can_differ_are_private() {
    let (one, two) = puppets().await;
    let scope = async |policies: &str| {
        let gateway = Setup::new()
            .with(policies)
            .puppet("one", &one)
            .puppet("two", &two)
            .up()
            .await;
        let response = modern_as("cli", "tools/list", &json!({})).send(gateway.address).await;
        response.message()["result"]["cacheScope"].clone()
    };
    assert_eq!(
        scope(r#"policies: { rules: [ { name: r, deny: "tool.name == 'one_beta' && principal == ''" } ] }"#).await,
        "private"
    );
}

#[tokio::test]
async fn a_hidden_tool_is_unknown_even_while_its_upstream_is_down() {
    let (one, two) = puppets().await;
    let rules = r#"policies: { rules: [ { name: r, deny: "tool.upstream == 'one'" }, { name: s, deny: "tool.upstream == 'gone'" } ] }"#;
    let gateway = Setup::new()
        .with(rules)
        .puppet("one", &one)
        .puppet("two", &two)
        .upstream("gone", "http://127.0.0.1:9/mcp")
        .up()
        .await;
    drop(one);
    let client = gateway.client().await;
    for tool in ["one_alpha", "gone_anything"] {
        let message = client.call(tool, &json!({})).await;
        assert_eq!(
            message["error"]["message"],
            format!("Unknown tool: {tool}"),
            "{message}"
        );
    }
    assert_eq!(client.text_of("two_alpha", &json!({})).await, "alpha");
}

#[tokio::test]
async fn methods_can_be_denied_and_are_told_by_the_rule() {
    let (one, two) = puppets().await;
    let rules = r#"policies: { rules: [ { name: no-ping, deny: "method == 'ping'", message: "No ping here" }, { name: no-level, deny: "method == 'logging/setLevel'" }, { name: mcp, deny: "method == 'initialize' && client.name == 'evil'" } ] }"#;
    let gateway = Setup::new()
        .with(rules)
        .puppet("one", &one)
        .puppet("two", &two)
        .up()
        .await;
    let client = gateway.client().await;
    let message = client.rpc("ping", &json!({})).await;
    assert_eq!(message["error"]["code"], -31011);
    assert_eq!(message["error"]["message"], "No ping here");
    let message = client.rpc("logging/setLevel", &json!({"level": "info"})).await;
    let text = message["error"]["message"].as_str().expect("a text");
    assert!(text.contains("logging/setLevel") && text.contains("no-level"), "{text}");
    let evil =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "evil", "version": "1"}});
    let response = Request::post(rpc(0, "initialize", &evil)).send(gateway.address).await;
    assert_eq!((response.status, code(&response)), (200, -31011));
    assert!(response.header("mcp-session-id").is_none());
    assert_eq!(client.tools().await, ALL);
}

#[tokio::test]
async fn roles_decide_what_holders_of_keys_list_and_call() {
    let puppet = Puppet::start(&["read", "delete"]).await;
    let rules = r#"
authentication: { required: false, apiKeys: { header: x-api-key, file: keys.yaml } }
policies: { rules: [ { name: r, deny: "tool.name.endsWith('_delete') && !('admin' in roles)" }, { name: s, deny: "principal == 'key:eve' && tool.name != ''" } ] }
"#;
    let setup = Setup::new().with(rules).puppet("up", &puppet);
    let key = |name: &str, roles: &str| {
        let digest = Sha256::digest(format!("key of {name}").as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("- {{ name: {name}, sha256: {digest}, roles: [{roles}] }}\n")
    };
    let keys = [key("ann", "admin"), key("bob", ""), key("eve", "admin")].concat();
    std::fs::write(setup.folder.path().join("keys.yaml"), keys).expect("written");
    let gateway = setup.up().await;
    for (name, expected) in [
        ("ann", &["up_read", "up_delete"][..]),
        ("bob", &["up_read"]),
        ("eve", &[]),
        ("", &["up_read"]),
    ] {
        let with_key = |request: Request| match name {
            "" => request,
            name => request.with("x-api-key", &format!("key of {name}")),
        };
        let list = with_key(modern(1, "tools/list", &json!({})))
            .send(gateway.address)
            .await;
        assert_eq!(names(&list.message()["result"]["tools"]), expected, "{name}");
        assert_eq!(list.message()["result"]["cacheScope"], "private");
        let legacy = with_key(Request::post(rpc(2, "tools/list", &json!({}))))
            .send(gateway.address)
            .await;
        assert_eq!(
            names(&legacy.message()["result"]["tools"]),
            expected,
            "{name}, without a session"
        );
        for tool in ["up_read", "up_delete"] {
            let call = with_key(modern(3, "tools/call", &json!({"name": tool, "arguments": {}})));
            let response = call.send(gateway.address).await;
            match expected.contains(&tool) {
                true => answered(tool, &response, "3"),
                false => refused(tool, &response, 200, -32602, "3"),
            };
        }
    }
}
