//! Headers that must say what the body says, and media types.

use crate::e2e::harness::check::{answered, refused};
use crate::e2e::harness::client::{Request, modern, rpc};
use crate::e2e::harness::shared::on_both_wirings;
use serde_json::json;

fn call() -> Request {
    modern(3, "tools/call", &json!({"name": "fixture_echo", "arguments": {"a": 1}}))
}

on_both_wirings! {
    async fn a_modern_call_whose_headers_agree_passes(shared) {
        answered("agreeing", &call().send(shared.gateway.address).await, "3");
        let encoded = call().with("mcp-name", "=?base64?Zml4dHVyZV9lY2hv?=");
        answered("in base64", &encoded.send(shared.gateway.address).await, "3");
    }

    async fn a_modern_request_whose_headers_and_body_disagree_is_refused(shared) {
        let requests = [
            ("no method", call().without("mcp-method")),
            ("other method", call().with("mcp-method", "tools/list")),
            ("method in capitals", call().with("mcp-method", "TOOLS/CALL")),
            ("two methods", call().and("mcp-method", "tools/call")),
            ("no name", call().without("mcp-name")),
            ("other name", call().with("mcp-name", "fixture_greet")),
            ("two names", call().and("mcp-name", "fixture_greet")),
            ("name in broken base64", call().with("mcp-name", "=?base64?%%%?=")),
            ("no version", call().without("mcp-protocol-version")),
            ("other version", call().with("mcp-protocol-version", "2025-11-25")),
            ("later version", call().with("mcp-protocol-version", "2031-01-01")),
        ];
        for (what, request) in requests {
            refused(what, &request.send(shared.gateway.address).await, 400, -32020, "3");
        }
    }

    async fn a_modern_request_without_its_meta_is_refused(shared) {
        let post = |params| {
            Request::post(rpc(4, "tools/list", &params))
                .with("mcp-protocol-version", "2026-07-28")
                .with("mcp-method", "tools/list")
        };
        let version = "io.modelcontextprotocol/protocolVersion";
        let requests = [
            ("no _meta", post(json!({}))),
            ("empty _meta", post(json!({"_meta": {}}))),
            ("no capabilities", post(json!({"_meta": {version: "2026-07-28"}}))),
        ];
        for (what, request) in requests {
            refused(what, &request.send(shared.gateway.address).await, 400, -32602, "4");
        }
    }

    async fn a_body_of_another_type_is_refused(shared) {
        let body = rpc(5, "tools/list", &json!({}));
        let requests = [
            ("text", Request::post(&body).with("content-type", "text/plain")),
            ("form", Request::post(&body).with("content-type", "application/x-www-form-urlencoded")),
            ("almost", Request::post(&body).with("content-type", "application/jsonp")),
            ("none", Request::post(&body).without("content-type")),
            ("packed", Request::post(&body).with("content-encoding", "gzip")),
        ];
        for (what, request) in requests {
            refused(what, &request.send(shared.gateway.address).await, 415, -32600, "null");
        }
        let request = Request::post(&body).with("content-type", "Application/JSON; charset=utf-8");
        answered("with a charset", &request.send(shared.gateway.address).await, "5");
    }

    async fn headers_that_only_the_processor_may_set_decide_nothing(shared) {
        let request = Request::post(rpc(6, "tools/list", &json!({})))
            .with("x-mcp-upstream", "puppet")
            .with("x-mcp-route-key", "guess")
            .with("x-mcp-undecided", "puppet");
        answered("own x-mcp-", &request.send(shared.gateway.address).await, "6");
        let response = Request::bare("GET").path("/other").with("x-mcp-upstream", "puppet").send(shared.gateway.address).await;
        assert_eq!(response.status, 404, "no route but the endpoint's: {response:?}");
    }
}
