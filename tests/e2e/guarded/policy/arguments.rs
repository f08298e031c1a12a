//! Rules over arguments and headers: they see exactly what goes upstream, and neither hide nor show.

use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::{Puppet, tool};
use crate::e2e::process::free_port;
use serde_json::json;

const RULES: &str = r#"
audit: { file: audit.jsonl }
policies:
  rules:
    - { name: small-payments, deny: "tool.name == 'bank_pay' && arguments.amount > 100", message: "Payments above 100 need approval" }
    - { name: red, deny: "tool.name == 'bank_red' && 'x-team' in headers && headers['x-team'] == 'red'" }
    - { name: step-up, require: { scopes: [mcp:admin, mcp:tools] }, when: "tool.annotations.destructiveHint == true" }
"#;

#[tokio::test]
async fn arguments_are_judged_as_the_upstream_reads_them() {
    let puppet = Puppet::start(&["pay", "red", "free"]).await;
    let gateway = Setup::new().with(RULES).puppet("bank", &puppet).up().await;
    let client = gateway.client().await;
    assert_eq!(
        client.tools().await,
        ["bank_pay", "bank_red", "bank_free"],
        "nothing is hidden"
    );
    let call = async |tool: &str, arguments: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        );
        client.request(body).send(gateway.address).await
    };
    for good in [
        r#"{"amount":100}"#,
        r#"{"amount":1e2}"#,
        r#"{"amount":-9007199254740993}"#,
        r#"{ "amount" : 99.999 }"#,
    ] {
        puppet.forget_requests();
        answered(good, &call("bank_pay", good).await, "1");
        let seen = puppet.posted("tools/call");
        assert!(seen[0].text().contains(good), "byte for byte: {}", seen[0].text());
    }
    puppet.forget_requests();
    for bad in [
        r#"{"amount":100.01}"#,
        r#"{"amount":1e3}"#,
        r#"{"amount":18446744073709551616}"#,
        r#"{"\u0061mount":101}"#,
        r#"{"amount":"101"}"#,
        "{}",
        "null",
    ] {
        let message = refused(bad, &call("bank_pay", bad).await, 200, -31011, "1");
        assert_eq!(message["error"]["message"], "Payments above 100 need approval", "{bad}");
    }
    for twice in [
        r#"{"amount":1,"amount":1000}"#,
        r#"{"amount":1,"\u0061mount":1000}"#,
        r#"{"amount":1,"x":[{"y":{"z":1,"z":2}}]}"#,
    ] {
        refused(twice, &call("bank_pay", twice).await, 400, -32600, "1");
    }
    assert_eq!(puppet.posted("tools/call").len(), 0, "none of them passed");
    answered(
        "nobody reads these",
        &call("bank_free", r#"{"amount":1,"amount":1000}"#).await,
        "1",
    );
}

#[tokio::test]
async fn headers_decide_calls_but_no_lists_and_the_audit_line_names_the_rule() {
    let puppet = Puppet::start(&["pay", "red", "free"]).await;
    let gateway = Setup::new().with(RULES).puppet("bank", &puppet).up().await;
    let client = gateway.client().await;
    let call = |team: &str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"bank_red"}}"#;
        client.request(body).with("x-team", team)
    };
    let message = refused("red", &call("red").send(gateway.address).await, 200, -31011, "1");
    let text = message["error"]["message"].as_str().expect("a text");
    assert!(text.contains("bank_red") && text.contains("\"red\""), "{text}");
    answered("blue", &call("blue").send(gateway.address).await, "1");
    let file = gateway.setup.folder.path().join("audit.jsonl");
    crate::e2e::harness::eventually("the audit line is there", async || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines()
            .any(|line| line.contains(r#""rule":"red""#) && line.contains(r#""verdict":"reject""#))
    })
    .await;
}

#[tokio::test]
async fn missing_scopes_are_all_named_at_once() {
    let mut danger = tool("danger");
    danger["annotations"] = json!({"destructiveHint": true});
    let puppet = Puppet::listed(([127, 0, 0, 1], free_port()).into(), vec![danger, tool("plain")]).await;
    let gateway = Setup::new().with(RULES).puppet("bank", &puppet).up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["bank_danger", "bank_plain"]);
    let response = client.ask("tools/call", &json!({"name": "bank_danger"})).await;
    assert_eq!(response.status, 403, "{response:?}");
    let challenge = response.header("www-authenticate").unwrap_or_default();
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="mcp:admin mcp:tools""#), "{challenge}");
    assert_eq!(client.text_of("bank_plain", &json!({})).await, "plain");
}
