//! What nobody has: methods, tools, prompts, resources.

use crate::e2e::harness::check::refused;
use crate::e2e::harness::client::{Request, modern, rpc};
use crate::e2e::harness::shared::on_both_wirings;
use serde_json::json;

on_both_wirings! {
    async fn an_unknown_method_is_told_by_each_era_in_its_way(shared) {
        let client = shared.gateway.client().await;
        for method in ["no/such", "tools/lists", "", "tasks/update", "server/Discover"] {
            let response = client.request(rpc(1, method, &json!({}))).send(shared.gateway.address).await;
            refused(method, &response, 200, -32601, "1");
        }
        for method in ["no/such", "ping", "logging/setLevel", "initialized"] {
            let response = modern(2, method, &json!({})).send(shared.gateway.address).await;
            refused(method, &response, 404, -32601, "2");
        }
    }

    async fn an_unknown_tool_is_told_by_name(shared) {
        let client = shared.gateway.client().await;
        for name in ["nothing", "echo", "puppet_", "PUPPET_echo", "puppet_echo ", "fixture_nothing"] {
            let params = json!({"name": name, "arguments": {}});
            let response = client.request(rpc(1, "tools/call", &params)).send(shared.gateway.address).await;
            let message = refused(name, &response, 200, -32602, "1");
            assert_eq!(message["error"]["message"], format!("Unknown tool: {name}"));
            let without_session = Request::post(rpc(1, "tools/call", &params)).send(shared.gateway.address).await;
            refused(name, &without_session, 200, -32602, "1");
        }
        let response = modern(2, "tools/call", &json!({"name": "nothing"})).send(shared.gateway.address).await;
        refused("modern", &response, 200, -32602, "2");
    }

    async fn an_unknown_prompt_is_told_by_name(shared) {
        let client = shared.gateway.client().await;
        let params = json!({"name": "nothing"});
        let response = client.request(rpc(1, "prompts/get", &params)).send(shared.gateway.address).await;
        refused("legacy", &response, 200, -32602, "1");
        refused("modern", &modern(2, "prompts/get", &params).send(shared.gateway.address).await, 200, -32602, "2");
    }

    async fn an_unknown_resource_is_told_by_uri(shared) {
        let client = shared.gateway.client().await;
        let params = json!({"uri": "none://such"});
        let response = client.request(rpc(1, "resources/read", &params)).send(shared.gateway.address).await;
        let message = refused("legacy", &response, 200, -32002, "1");
        assert_eq!(message["error"]["data"]["uri"], "none://such");
        let response = modern(2, "resources/read", &params).send(shared.gateway.address).await;
        let message = refused("modern", &response, 200, -32602, "2");
        assert_eq!(message["error"]["data"]["uri"], "none://such");
    }

    async fn a_tool_of_a_disabled_upstream_is_unknown_or_refused_by_name(shared) {
        let client = shared.gateway.client().await;
        let tools = client.tools().await;
        assert!(!tools.iter().any(|tool| tool.starts_with("idle_")), "{tools:?}");
        let message = client.call("idle_anything", &json!({})).await;
        let code = message["error"]["code"].as_i64().expect("an error");
        assert!([-32602, -31010].contains(&code), "{message}");
    }
}
