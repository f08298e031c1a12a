//! Tools that ask: by their result (SEP-2322), where the client answers by calling again and brings the sealed state
//! along; a legacy client is asked by requests instead (see `questions`).

use crate::messages;
use crate::questions::{self, is_modern};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, InputRequiredResult,
    InputResponses,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};
use sha2::Sha256;

const PREFIX: &str = "test_input_required_result_";

/// Answers the tools of this file; `None` for others.
pub(crate) async fn call(
    mut request: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let declared = context.client_capabilities().unwrap_or_default();
    loop {
        let response = match messages::ask(&request, &declared) {
            Some(response) => Ok(response),
            None => once(&request, &declared)?,
        };
        let (Ok(CallToolResponse::InputRequired(asked)), false) = (&response, is_modern(context)) else {
            return Some(response);
        };
        let state = asked.request_state.clone();
        match questions::put(&context.peer, asked.input_requests.clone().unwrap_or_default()).await {
            Ok(answers) => request.input_responses = Some(answers),
            Err(error) => return Some(Ok(CallToolResult::error(vec![ContentBlock::text(error.message)]).into())),
        }
        request.request_state = state;
    }
}

/// One round of the tools whose names start with [`PREFIX`], and of one that must not put its question on the stream.
fn once(request: &CallToolRequestParams, declared: &ClientCapabilities) -> Option<Result<CallToolResponse, ErrorData>> {
    let tool = match request.name.as_ref() {
        "test_streaming_elicitation" => "elicitation",
        name => name.strip_prefix(PREFIX)?,
    };
    let got = |key: &str| answered(request.input_responses.as_ref(), key);
    let state = match request.request_state.as_deref().map(open).transpose() {
        Ok(state) => state,
        Err(error) => return Some(Err(error)),
    };
    Some(Ok(match tool {
        "elicitation" => {
            match got("user_name").and_then(|answer| answer["content"]["name"].as_str().map(str::to_owned)) {
                Some(name) => done(format!("Hello, {name}!")),
                None => ask(json!({"user_name": form("What is your name?", "name", "string")}), None).into(),
            }
        }
        "sampling" => match got("capital_question") {
            Some(answer) => done(answer["content"]["text"].as_str().unwrap_or("no text")),
            None => ask(
                json!({"capital_question": sampling("What is the capital of France?", 100)}),
                None,
            )
            .into(),
        },
        "list_roots" => match got("client_roots") {
            Some(answer) => done(format!("roots: {}", answer["roots"])),
            None => ask(json!({"client_roots": roots()}), None).into(),
        },
        "request_state" | "tampered_state" => match (got("confirm"), state.as_deref()) {
            (Some(_), Some("confirm")) => done("state-ok"),
            _ => ask(
                json!({"confirm": form("Please confirm", "ok", "boolean")}),
                Some("confirm"),
            )
            .into(),
        },
        "multiple_inputs" => match (got("user_name"), got("greeting"), got("client_roots")) {
            (Some(_), Some(_), Some(_)) => done("all three answers arrived"),
            _ => ask(three_questions(), Some("three")).into(),
        },
        "multi_round" => match state.as_deref() {
            Some("round 2") if got("step2").is_some() => done("both steps are done"),
            Some("round 1") if got("step1").is_some() => {
                let question = form("Step 2: What is your favorite color?", "color", "string");
                ask(json!({"step2": question}), Some("round 2")).into()
            }
            _ => ask(
                json!({"step1": form("Step 1: What is your name?", "name", "string")}),
                Some("round 1"),
            )
            .into(),
        },
        "capabilities" if request.input_responses.is_some() => done("the answers arrived"),
        "capabilities" => ask_within(declared),
        _ => return None,
    }))
}

/// Only what the client declared in this request.
fn ask_within(declared: &ClientCapabilities) -> CallToolResponse {
    let mut questions = Map::new();
    if declared.elicitation.is_some() {
        questions.insert("user_name".to_owned(), form("What is your name?", "name", "string"));
    }
    if declared.sampling.is_some() {
        questions.insert("greeting".to_owned(), sampling("Generate a greeting", 50));
    }
    if declared.roots.is_some() {
        questions.insert("client_roots".to_owned(), roots());
    }
    if questions.is_empty() {
        return done("the client declared nothing to ask for");
    }
    ask(Value::Object(questions), None).into()
}

fn three_questions() -> Value {
    json!({
        "user_name": form("What is your name?", "name", "string"),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": roots(),
    })
}

/// A client's answer that is at least an object; anything else counts as missing.
pub(crate) fn answered<'a>(answers: Option<&'a InputResponses>, key: &str) -> Option<&'a Value> {
    answers?.get(key).filter(|answer| answer.is_object())
}

/// The result that asks `questions`; `state` is sealed.
pub(crate) fn ask(questions: Value, state: Option<&str>) -> InputRequiredResult {
    let questions = serde_json::from_value(questions).expect("the questions of this file are valid requests");
    InputRequiredResult::new(Some(questions), state.map(seal))
}

/// An elicitation of one required field.
pub(crate) fn form(message: &str, field: &str, kind: &str) -> Value {
    json!({"method": "elicitation/create", "params": {
        "mode": "form",
        "message": message,
        "requestedSchema": {"type": "object", "properties": {field: {"type": kind}}, "required": [field]},
    }})
}

pub(crate) fn sampling(prompt: &str, tokens: u32) -> Value {
    json!({"method": "sampling/createMessage", "params": {
        "messages": [{"role": "user", "content": {"type": "text", "text": prompt}}],
        "maxTokens": tokens,
    }})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn done(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn mac(state: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"a fixture has no secrets").expect("any length of key is taken");
    mac.update(state.as_bytes());
    mac
}

fn seal(state: &str) -> String {
    let tag = mac(state).finalize().into_bytes();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(state), URL_SAFE_NO_PAD.encode(tag))
}

fn open(sealed: &str) -> Result<String, ErrorData> {
    let opened = || {
        let (state, tag) = sealed.split_once('.')?;
        let state = String::from_utf8(URL_SAFE_NO_PAD.decode(state).ok()?).ok()?;
        mac(&state).verify_slice(&URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        Some(state)
    };
    opened().ok_or_else(|| ErrorData::invalid_params("requestState is not what this server gave", None))
}
