//! Ways around a rule: none passes.

use super::{connect, modern_as};
use crate::e2e::harness::check::refused;
use crate::e2e::harness::client::Request;
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;

#[tokio::test]
async fn a_name_that_fits_two_prefixes_belongs_to_one_upstream_whatever_the_rules_say() {
    let (first, second) = (Puppet::start(&["b_c"]).await, Puppet::start(&["c", "d"]).await);
    let setup = |rule: &str| {
        Setup::new()
            .with(&format!("policies: {{ rules: [ {{ name: r, deny: \"{rule}\" }} ] }}"))
            .upstream_with("first", &first.url(), "prefix: a_")
            .upstream_with("second", &second.url(), "prefix: a_b_")
    };
    let gateway = setup("tool.upstream == 'second'").up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["a_b_c"]);
    assert_eq!(client.text_of("a_b_c", &json!({})).await, "b_c", "the first owns it");
    assert_eq!(client.call("a_b_d", &json!({})).await["error"]["code"], -32602);

    let gateway = setup("tool.upstream == 'first'").up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["a_b_d"]);
    assert_eq!(
        client.call("a_b_c", &json!({})).await["error"]["code"],
        -32602,
        "a rule does not hand the name to the second"
    );
    assert_eq!(second.posted("tools/call").len(), 0);
}

#[tokio::test]
async fn a_denied_name_in_disguise_is_denied() {
    let puppet = Puppet::start(&["open", "shut"]).await;
    let rules = r#"policies: { rules: [ { name: r, deny: "tool.name == 'up_shut'" } ] }"#;
    let gateway = Setup::new().with(rules).puppet("up", &puppet).up().await;
    let client = gateway.client().await;
    assert_eq!(client.tools().await, ["up_open"]);
    let send = async |params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        client.request(body).send(gateway.address).await
    };
    refused("plain", &send(r#"{"name":"up_shut"}"#).await, 200, -32602, "1");
    refused("escaped", &send(r#"{"name":"up_\u0073hut"}"#).await, 200, -32602, "1");
    refused(
        "escaped key",
        &send(r#"{"\u006eame":"up_shut"}"#).await,
        200,
        -32602,
        "1",
    );
    for twice in [
        r#"{"name":"up_open","name":"up_shut"}"#,
        r#"{"name":"up_open","\u006eame":"up_shut"}"#,
        r#"{"name":"up_shut","name":"up_open"}"#,
    ] {
        refused(twice, &send(twice).await, 400, -32600, "1");
    }
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_shut"}}]"#;
    let response = client.request(batch).send(gateway.address).await;
    assert_eq!(response.status, 400, "{response:?}");
    let method = r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"up_shut"}}"#;
    refused(
        "two methods",
        &client.request(method).send(gateway.address).await,
        400,
        -32600,
        "1",
    );
    assert_eq!(puppet.posted("tools/call").len(), 0);
}

#[tokio::test]
async fn a_header_that_names_another_tool_than_the_body_is_refused() {
    let puppet = Puppet::start(&["open", "shut"]).await;
    let rules = r#"policies: { rules: [ { name: r, deny: "tool.name == 'up_shut'" } ] }"#;
    let gateway = Setup::new().with(rules).puppet("up", &puppet).up().await;
    let call = |body: &str, header: &str| {
        modern_as("x", "tools/call", &json!({"name": body, "arguments": {}})).with("mcp-name", header)
    };
    refused(
        "open in the header",
        &call("up_shut", "up_open").send(gateway.address).await,
        400,
        -32020,
        "1",
    );
    refused(
        "open in the body",
        &call("up_open", "up_shut").send(gateway.address).await,
        400,
        -32020,
        "1",
    );
    refused(
        "both",
        &call("up_shut", "up_shut").send(gateway.address).await,
        200,
        -32602,
        "1",
    );
    let disguised = call("up_shut", "=?base64?dXBfc2h1dA==?=");
    refused("in base64", &disguised.send(gateway.address).await, 200, -32602, "1");
    assert_eq!(puppet.posted("tools/call").len(), 0);
}

#[tokio::test]
async fn a_tool_that_is_not_listed_cannot_be_called_directly_with_or_without_a_session() {
    let puppet = Puppet::start(&["open", "shut"]).await;
    let rules = r#"policies: { default: deny, rules: [ { name: r, allow: "tool.name == 'up_open' && client.name == 'known'" } ] }"#;
    let gateway = Setup::new().with(rules).puppet("up", &puppet).up().await;
    let known = connect(&gateway, "known").await;
    assert_eq!(known.tools().await, ["up_open"]);
    assert_eq!(known.text_of("up_open", &json!({})).await, "open");
    puppet.forget_requests();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_open"}}"#;
    let without = Request::post(body).send(gateway.address).await;
    refused("without a session nobody is known", &without, 200, -32602, "1");
    for header in ["x-mcp-upstream", "x-mcp-route-key", "x-mcp-tool"] {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_shut"}}"#;
        let response = known.request(body).with(header, "up").send(gateway.address).await;
        refused(header, &response, 200, -32602, "1");
    }
    assert_eq!(puppet.posted("tools/call").len(), 0);
}
