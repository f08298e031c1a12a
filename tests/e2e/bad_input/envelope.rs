//! What is wrong with the message itself.

use crate::e2e::harness::check::{answered, counted, refused};
use crate::e2e::harness::client::Request;
use crate::e2e::harness::shared::on_both_wirings;

/// A list request whose parameters nest so that the whole is `depth` deep.
fn nested(depth: usize) -> String {
    let inner = depth - 2;
    let (open, close) = ("[".repeat(inner), "]".repeat(inner));
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"x":{open}{close}}}}}"#)
}

/// A message under id 7.
fn seven(rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,{rest}}}"#)
}

on_both_wirings! {
    async fn what_is_not_json_is_a_parse_error(shared) {
        let deep = nested(129);
        let bodies: [(&str, &[u8]); 8] = [
            ("a word", b"hello"),
            ("nothing", b""),
            ("truncated", br#"{"jsonrpc":"2.0","id":1,"method":"tools/list""#),
            ("truncated in a string", br#"{"jsonrpc":"2.0","id":1,"method":"too"#),
            ("two values", br#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"#),
            ("wrong UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"\xff\xfe\"}}"),
            ("a byte order mark", b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"),
            ("129 deep", deep.as_bytes()),
        ];
        for (what, body) in bodies {
            let response = Request::post(body).send(shared.gateway.address).await;
            refused(what, &response, 400, -32700, "null");
        }
        for reason in ["parse_error", "too_deep"] {
            counted(&shared.gateway, reason).await;
        }
    }

    async fn a_message_128_deep_passes(shared) {
        let response = Request::post(nested(128)).send(shared.gateway.address).await;
        answered("128 deep", &response, "1");
    }

    async fn a_batch_is_refused_and_so_is_what_is_no_object(shared) {
        let bodies = [
            r#"[]"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#,
            r#""hello""#,
            "42",
            "null",
            "true",
        ];
        for body in bodies {
            let response = Request::post(body).send(shared.gateway.address).await;
            refused(body, &response, 400, -32600, "null");
        }
    }

    async fn a_message_that_is_no_request_is_invalid(shared) {
        let bodies = [
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, "null"),
            (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, "7"),
            (r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#, "7"),
            (r#"{"id":7,"method":"ping"}"#, "7"),
            (r#"{"jsonrpc":"2.0","id":7,"method":5}"#, "7"),
            (r#"{"jsonrpc":"2.0","id":7,"method":null}"#, "7"),
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":"x"}"#, "7"),
            (r#"{"jsonrpc":"2.0","id":7}"#, "7"),
            (r#"{}"#, "null"),
        ];
        for (body, id) in bodies {
            let response = Request::post(body).send(shared.gateway.address).await;
            refused(body, &response, 400, -32600, id);
        }
    }

    async fn a_key_given_twice_is_refused(shared) {
        let bodies = [
            (r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"tools/call"}"#.to_owned(), "7"),
            (r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":7,"method":"ping"}"#.to_owned(), "7"),
            (r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}"#.to_owned(), "null"),
            (seven(r#""method":"ping","met\u0068od":"tools/list""#), "7"),
            (seven(r#""method":"tools/call","params":{"name":"puppet_echo","name":"puppet_other"}"#), "7"),
            (seven(r#""method":"tools/call","params":{"name":"puppet_echo","n\u0061me":"puppet_other"}"#), "7"),
            (seven(r#""method":"tools/call","params":{"name":"puppet_echo","_meta":{"a":1,"a":2}}"#), "7"),
            (seven(r#""method":"tools/call","params":{"name":"puppet_echo","_meta":{"a":1,"\u0061":2}}"#), "7"),
            (seven(r#""method":"ping","params":{},"params":{}"#), "7"),
        ];
        for (body, id) in &bodies {
            let response = Request::post(body).send(shared.gateway.address).await;
            refused(body, &response, 400, -32600, id);
        }
    }

    async fn the_id_comes_back_byte_by_byte(shared) {
        let ids = [
            "0", "-1", "9007199254740993", "123456789012345678901234567890", r#""""#, r#""a""#,
            r#""\u0061\n\"\\""#, r#""grün 🌱""#, r#""7""#,
        ];
        for id in ids {
            let list = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
            answered(id, &Request::post(&list).send(shared.gateway.address).await, id);
            let unknown = format!(r#"{{"method":"no/such","id" : {id} ,"jsonrpc":"2.0"}}"#);
            let response = Request::post(&unknown).send(shared.gateway.address).await;
            refused(id, &response, 200, -32601, id);
        }
    }

    async fn parameters_that_are_missing_or_of_the_wrong_type_are_invalid(shared) {
        let client = shared.gateway.client().await;
        let bodies = [
            r#""method":"tools/call""#,
            r#""method":"tools/call","params":{}"#,
            r#""method":"tools/call","params":{"name":5}"#,
            r#""method":"tools/call","params":{"name":null,"arguments":{}}"#,
            r#""method":"prompts/get","params":{"arguments":{}}"#,
            r#""method":"resources/read","params":{"uri":["x"]}"#,
            r#""method":"completion/complete","params":{"argument":{}}"#,
            r#""method":"completion/complete","params":{"ref":{"type":"ref/prompt"},"argument":{}}"#,
            r#""method":"completion/complete","params":{"ref":{"type":"ref/other","name":"x"}}"#,
            r#""method":"logging/setLevel","params":{"level":"loud"}"#,
            r#""method":"logging/setLevel","params":{}"#,
            r#""method":"initialize","params":{}"#,
            r#""method":"tools/list","params":{"cursor":"2"}"#,
        ];
        for body in bodies {
            let response = client.request(seven(body)).send(shared.gateway.address).await;
            refused(body, &response, 200, -32602, "7");
        }
    }
}
