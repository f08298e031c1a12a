//! Prompts and resources: hidden ones are in no list, and by no way to be had.

use super::{fixture, modern_as};
use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{names, rpc};
use crate::e2e::harness::gateway::Setup;
use serde_json::{Value, json};

const RULES: &str = r#"policies:
  rules:
    - { name: text, deny: "resource.uri == 'test://static-text'" }
    - { name: templates, deny: "resource.uri.startsWith('test://template/')" }
    - { name: prompt, deny: "prompt == 'one_test_simple_prompt'" }
"#;

fn uris(items: &Value, key: &str) -> Vec<String> {
    let items = items.as_array().into_iter().flatten();
    items.filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn hidden_resources_cannot_be_read_subscribed_to_or_completed() {
    let (_upstream, url) = fixture().await;
    let gateway = Setup::new()
        .with(RULES)
        .upstream_with("one", &url, "resources: { probe: true }")
        .up()
        .await;
    let client = gateway.client().await;
    let listed = client.rpc("resources/list", &json!({})).await;
    let listed = uris(&listed["result"]["resources"], "uri");
    assert!(listed.contains(&"test://watched-resource".to_owned()), "{listed:?}");
    assert!(!listed.contains(&"test://static-text".to_owned()), "{listed:?}");
    let templates = client.rpc("resources/templates/list", &json!({})).await;
    assert_eq!(uris(&templates["result"]["resourceTemplates"], "uriTemplate"), [""; 0]);
    for uri in [
        "test://static-text",
        "test://template/7/data",
        "test://template/{id}/data",
    ] {
        let params = json!({"uri": uri});
        for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
            let response = client.request(rpc(3, method, &params)).send(gateway.address).await;
            let message = refused(uri, &response, 200, -32002, "3");
            assert_eq!(message["error"]["data"]["uri"], uri, "{method}");
        }
        let response = modern_as("x", "resources/read", &params).send(gateway.address).await;
        let message = refused(uri, &response, 200, -32602, "1");
        assert_eq!(message["error"]["data"]["uri"], uri);
        let reference = json!({"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "id", "value": ""}});
        let response = client
            .request(rpc(4, "completion/complete", &reference))
            .send(gateway.address)
            .await;
        refused(uri, &response, 200, -32002, "4");
    }
    let params = json!({"uri": "test://watched-resource"});
    answered("another one", &client.ask("resources/read", &params).await, "");
}

#[tokio::test]
async fn a_resource_known_by_a_hidden_template_only_is_hidden_with_it() {
    let (_upstream, url) = fixture().await;
    let rules = r#"policies: { rules: [ { name: r, deny: "resource.uri == 'test://template/{id}/data'" } ] }"#;
    let gateway = Setup::new().with(rules).upstream("one", &url).up().await;
    let client = gateway.client().await;
    let params = json!({"uri": "test://template/7/data"});
    let response = client
        .request(rpc(3, "resources/read", &params))
        .send(gateway.address)
        .await;
    refused("by template", &response, 200, -32002, "3");
}

#[tokio::test]
async fn hidden_prompts_are_unknown() {
    let (_upstream, url) = fixture().await;
    let gateway = Setup::new().with(RULES).upstream("one", &url).up().await;
    let client = gateway.client().await;
    let prompts = names(&client.rpc("prompts/list", &json!({})).await["result"]["prompts"]);
    assert!(
        prompts.contains(&"one_test_prompt_with_arguments".to_owned()),
        "{prompts:?}"
    );
    assert!(!prompts.contains(&"one_test_simple_prompt".to_owned()), "{prompts:?}");
    let params = json!({"name": "one_test_simple_prompt"});
    let response = client
        .request(rpc(3, "prompts/get", &params))
        .send(gateway.address)
        .await;
    refused("prompt", &response, 200, -32602, "3");
    let reference = json!({"ref": {"type": "ref/prompt", "name": "one_test_simple_prompt"}, "argument": {"name": "a", "value": ""}});
    let response = client
        .request(rpc(4, "completion/complete", &reference))
        .send(gateway.address)
        .await;
    refused("completion", &response, 200, -32602, "4");
}

#[tokio::test]
async fn a_hidden_resource_is_hidden_by_each_of_its_names() {
    let (_upstream, url) = fixture().await;
    let rules = r#"policies: { rules: [ { name: r, deny: "resource.uri == 'test://one/static-text'" } ] }"#;
    let gateway = Setup::new()
        .with(rules)
        .upstream_with("one", &url, "resources: { rewrite: true }")
        .up()
        .await;
    let client = gateway.client().await;
    for uri in ["test://one/static-text", "test://static-text"] {
        let params = json!({"uri": uri});
        let response = client
            .request(rpc(3, "resources/read", &params))
            .send(gateway.address)
            .await;
        refused(uri, &response, 200, -32002, "3");
    }
}
