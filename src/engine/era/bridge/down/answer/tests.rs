use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const ALL: &str = r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#;

fn mk_terms() -> Terms<'static> {
    Terms {
        id: "\"client\"",
        own: "\"own\"",
        method: Method::ToolsCall,
        uri: None,
        logs: false,
        capabilities: ALL,
    }
}

fn mk_reading() -> Terms<'static> {
    Terms {
        method: Method::ResourcesRead,
        uri: Some("a://\"b"),
        ..mk_terms()
    }
}

fn said(terms: &Terms<'_>, text: &str) -> Said {
    read(terms, &Bytes::copy_from_slice(text.as_bytes()))
}

fn result(terms: &Terms<'_>, text: &str) -> String {
    let said = said(terms, text);
    let Said::Result(body) = said else { panic!("{said:?}") };
    String::from_utf8(body.to_vec()).expect("text")
}

fn error(terms: &Terms<'_>, text: &str) -> Value {
    let said = said(terms, text);
    let Said::Error { body, .. } = said else {
        panic!("{said:?}")
    };
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn a_result_becomes_a_modern_one_and_stays_the_same_otherwise() {
    let text =
        r#"{ "result" : { "content":[1.50,12345678901234567890123], "x":"\u0041"}, "id":"own","jsonrpc":"2.0" }"#;
    let expected = r#"{ "result" : {"resultType":"complete", "content":[1.50,12345678901234567890123], "x":"\u0041"}, "id":"client","jsonrpc":"2.0" }"#;
    assert_eq!(result(&mk_terms(), text), expected);
    let empty = r#"{"id":"own","result":{ }}"#;
    assert_eq!(
        result(&mk_terms(), empty),
        r#"{"id":"client","result":{"resultType":"complete" }}"#
    );
}

#[test]
fn what_a_resource_says_of_its_freshness_counts() {
    let text = r#"{"id":"own","result":{"contents":[]}}"#;
    let expected =
        r#"{"id":"client","result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}}"#;
    assert_eq!(result(&mk_reading(), text), expected);
    let text = r#"{"id":"own","result":{"contents":[],"ttlMs":5}}"#;
    let expected =
        r#"{"id":"client","result":{"resultType":"complete","cacheScope":"private","contents":[],"ttlMs":5}}"#;
    assert_eq!(result(&mk_reading(), text), expected);
}

#[test]
fn answers_to_other_requests_are_none() {
    for text in [
        r#"{"id":"client","result":{}}"#,
        r#"{"id":1,"error":{"code":-1,"message":""}}"#,
        r#"{"result":{}}"#,
        r#"{"id":null,"result":{}}"#,
        "7",
    ] {
        assert_eq!(said(&mk_terms(), text), Said::Nothing, "{text}");
    }
    let lost = error(&mk_terms(), r#"{"id":null,"error":{"code":-32600,"message":"what?"}}"#);
    assert_eq!(
        lost,
        json!({"jsonrpc": "2.0", "id": "client", "error": {"code": -32600, "message": "what?"}})
    );
}

#[test]
fn a_resource_that_is_not_found_has_the_modern_code_and_its_uri() {
    let text = r#"{"id":"own","error":{"code":-32002,"message":"no \u0041","data":{"why":1.0}}}"#;
    let Said::Error { body, code, not_found } = said(&mk_reading(), text) else {
        panic!("an error")
    };
    assert!(not_found && code == -32602);
    assert_eq!(
        body,
        r#"{"jsonrpc":"2.0","id":"client","error":{"code":-32602,"message":"no \u0041","data":{"uri":"a://\"b","why":1.0}}}"#
    );
    for (data, expected) in [
        ("", json!({"uri": "a://\"b"})),
        (r#","data":{}"#, json!({"uri": "a://\"b"})),
        (r#","data":"x""#, json!({"uri": "a://\"b"})),
        (r#","data":{"uri":"other"}"#, json!({"uri": "other"})),
    ] {
        let text = format!(r#"{{"id":"own","error":{{"code":-32002,"message":"no"{data}}}}}"#);
        assert_eq!(error(&mk_reading(), &text)["error"]["data"], expected);
    }
}

#[test]
fn an_error_about_the_hop_is_none_of_the_clients_business() {
    for code in [-32020, -32022, -32099] {
        let text = format!(r#"{{"id":"own","error":{{"code":{code},"message":""}}}}"#);
        assert_eq!(said(&mk_terms(), &text), Said::Misunderstanding);
    }
    let text = r#"{"id":"own","error":"bad"}"#;
    assert_eq!(said(&mk_terms(), text), Said::Misunderstanding);
    let text = r#"{"id":"own","error":{"code":-32021,"message":"sampling is needed"}}"#;
    assert_eq!(
        error(&mk_terms(), text)["error"]["code"],
        -32021,
        "this one is about the client"
    );
}

#[test]
fn addresses_to_go_to_are_asked_for() {
    let text = r#"{"id":"own","error":{"code":-32042,"message":"sign in","data":{"elicitations":[
        {"mode":"url","elicitationId":"1","url":"https://a","message":"m"},{"mode":"other"}]}}}"#;
    let Said::Elsewhere { asked, message } = said(&mk_terms(), text) else {
        panic!("elsewhere")
    };
    assert_eq!(message.as_ref(), "\"sign in\"");
    let params = r#"{"mode":"url","elicitationId":"1","url":"https://a","message":"m"}"#;
    assert_eq!(
        asked,
        [Asked {
            id: None,
            wanted: Wanted::Elicitation,
            params: Some(params.into())
        }]
    );
    let forms_only = Terms {
        capabilities: r#"{"elicitation":{}}"#,
        ..mk_terms()
    };
    let refused = error(&forms_only, text);
    assert_eq!(refused["error"]["code"], -32021);
    assert_eq!(
        refused["error"]["data"]["requiredCapabilities"],
        json!({"elicitation": {"url": {}}})
    );
}

#[test]
fn only_what_belongs_to_the_call_passes() {
    let notification = |method: &str| format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{}}}}"#);
    for (method, expected) in [
        ("progress", Said::Pass),
        ("vendor/own", Said::Pass),
        ("message", Said::Nothing),
        (
            "tools/list_changed",
            Said::Changed("notifications/tools/list_changed".into()),
        ),
        ("resources/updated", Said::Nothing),
        ("elicitation/complete", Said::Nothing),
        ("cancelled", Said::Nothing),
    ] {
        assert_eq!(said(&mk_terms(), &notification(method)), expected, "{method}");
    }
    let logging = Terms {
        logs: true,
        ..mk_terms()
    };
    assert_eq!(said(&logging, &notification("message")), Said::Pass);
    let withdrawn = r#"{"method":"notifications/cancelled","params":{"requestId":"7"}}"#;
    assert_eq!(said(&mk_terms(), withdrawn), Said::Withdraws("\"7\"".into()));
}

#[test]
fn the_client_is_asked_only_for_what_it_declared() {
    let asks = |capabilities: &'static str, method: &str, params: &str| {
        let terms = Terms {
            capabilities,
            ..mk_terms()
        };
        said(&terms, &format!(r#"{{"id":0,"method":"{method}","params":{params}}}"#))
    };
    let url = r#"{"mode":"url"}"#;
    for (capabilities, method, params) in [
        (ALL, "elicitation/create", r#"{ "mode":"form"}"#),
        (ALL, "elicitation/create", url),
        (r#"{"elicitation":{}}"#, "elicitation/create", "{}"),
        (r#"{"sampling":{}}"#, "sampling/createMessage", "{}"),
        (r#"{"roots":{}}"#, "roots/list", "{}"),
    ] {
        let expected = Asked {
            id: Some("0".into()),
            wanted: Wanted::parse(method).expect("known"),
            params: Some(params.into()),
        };
        assert_eq!(asks(capabilities, method, params), Said::Asks(expected));
    }
    for (capabilities, method, params) in [
        ("{}", "elicitation/create", "{}"),
        (r#"{"elicitation":{"form":{}}}"#, "elicitation/create", url),
        (r#"{"elicitation":{"url":{}}}"#, "elicitation/create", "{}"),
        (r#"{"elicitation":{}}"#, "roots/list", "{}"),
        (r#"{"roots":null}"#, "roots/list", "{}"),
        (ALL, "tools/call", "{}"),
    ] {
        let refused = asks(capabilities, method, params);
        assert!(matches!(refused, Said::Reply(_)), "{method} {params}: {refused:?}");
    }
    let completing = Terms {
        method: Method::Complete,
        ..mk_terms()
    };
    assert!(matches!(
        said(&completing, r#"{"id":0,"method":"roots/list"}"#),
        Said::Reply(_)
    ));
}

#[test]
fn a_ping_is_answered_at_once() {
    let reply = said(&mk_terms(), r#"{"id":"p","method":"ping"}"#);
    assert_eq!(reply, Said::Reply(r#"{"jsonrpc":"2.0","id":"p","result":{}}"#.into()));
}

proptest! {
    #[test]
    fn a_result_gains_its_type_and_loses_nothing(text in ".{0,9}", key in "[a-z]{1,5}", pretty: bool, first: bool) {
        let mut tree = if first {
            json!({"id": "own", "jsonrpc": "2.0", "result": {"content": [{"text": text}], key: text}})
        } else {
            json!({"result": {key: text, "z": {"id": "own", "result": {}}}, "jsonrpc": "2.0", "id": "own"})
        };
        let message = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        let after: Value = serde_json::from_str(&result(&mk_terms(), &message)).unwrap();
        tree["id"] = json!("client");
        tree["result"]["resultType"] = json!("complete");
        prop_assert_eq!(after, tree);
    }

    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>) {
        let _ = read(&mk_terms(), &bytes.into());
    }
}
