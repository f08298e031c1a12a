//! Tools that talk to the client while they run: logs and progress; and the questions of sampling and elicitation.

use crate::input_required::{self, answered, sampling};
use crate::questions::is_modern;
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use std::time::Duration;

type Context = RequestContext<RoleServer>;

const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// Answers the tools of this file; `None` for others.
pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &Context,
) -> Option<Result<CallToolResult, ErrorData>> {
    Some(match request.name.as_ref() {
        "test_tool_with_logging" => {
            log_all(
                context,
                &[
                    "Tool execution started",
                    "Tool processing data",
                    "Tool execution completed",
                ],
            )
            .await
        }
        "test_logging_tool" => log_all(context, &["One message"]).await,
        "test_tool_with_progress" => progress(context).await,
        _ => return None,
    })
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Modern clients hear logs only where they asked for them in the request.
async fn log_all(context: &Context, texts: &[&str]) -> Result<CallToolResult, ErrorData> {
    let silent = is_modern(context) && context.meta.log_level().is_none();
    for (number, text) in texts.iter().enumerate() {
        if number > 0 {
            pause().await;
        }
        if !silent {
            let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(text));
            let _gone = context.peer.notify_logging_message(message).await;
        }
    }
    Ok(done("Tool with logging executed"))
}

async fn progress(context: &Context) -> Result<CallToolResult, ErrorData> {
    for (number, step) in [0.0, 50.0, 100.0].into_iter().enumerate() {
        if number > 0 {
            pause().await;
        }
        if let Some(token) = context.meta.get_progress_token() {
            let message = ProgressNotificationParam::new(token, step).with_total(100.0);
            let _gone = context.peer.notify_progress(message).await;
        }
    }
    Ok(done("Tool with progress executed"))
}

/// Sleeps; every half second it says for how many milliseconds it has, if somebody wants to know.
pub(crate) async fn sleep(context: &Context, time: Duration) {
    let begun = tokio::time::Instant::now();
    let mut next = begun + HALF_A_SECOND;
    while next < begun + time {
        tokio::time::sleep_until(next).await;
        if let Some(token) = context.meta.get_progress_token() {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a test")]
            let slept = begun.elapsed().as_millis() as f64;
            let _gone = context
                .peer
                .notify_progress(ProgressNotificationParam::new(token, slept))
                .await;
        }
        next += HALF_A_SECOND;
    }
    tokio::time::sleep_until(begun + time).await;
}

/// One round of the tools that ask the client's model or user; `None` for others.
pub(crate) fn ask(request: &CallToolRequestParams, declared: &ClientCapabilities) -> Option<CallToolResponse> {
    let argument = |key: &str| {
        let arguments = request.arguments.as_ref();
        arguments
            .and_then(|arguments| arguments.get(key)?.as_str())
            .unwrap_or_default()
    };
    let elicit = |message: &str, schema: &Value, lead| elicit(request, declared, message, schema, lead);
    Some(match request.name.as_ref() {
        "test_sampling" => sample(request, declared, argument("prompt")),
        "test_elicitation" => elicit(argument("message"), &person(), "User response: "),
        "test_elicitation_sep1034_defaults" => {
            elicit("Please check the defaults", &defaults(), "Elicitation completed: ")
        }
        "test_elicitation_sep1330_enums" => elicit("Please choose", &choices(), "Elicitation completed: "),
        _ => return None,
    })
}

fn sample(request: &CallToolRequestParams, declared: &ClientCapabilities, prompt: &str) -> CallToolResponse {
    if declared.sampling.is_none() {
        return failed("the client does not support sampling");
    }
    match answered(request.input_responses.as_ref(), "model") {
        Some(answer) => done(format!("LLM response: {}", text_of(answer))).into(),
        None => input_required::ask(json!({"model": sampling(prompt, 100)}), None).into(),
    }
}

fn text_of(message: &Value) -> String {
    let content = &message["content"];
    let block = content.get(0).unwrap_or(content);
    block["text"].as_str().unwrap_or_default().to_owned()
}

fn elicit(
    request: &CallToolRequestParams,
    declared: &ClientCapabilities,
    message: &str,
    schema: &Value,
    lead: &str,
) -> CallToolResponse {
    if declared.elicitation.is_none() {
        return failed("the client does not support elicitation");
    }
    let Some(answer) = answered(request.input_responses.as_ref(), "user") else {
        let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
        return input_required::ask(
            json!({"user": {"method": "elicitation/create", "params": params}}),
            None,
        )
        .into();
    };
    let action = answer["action"].as_str().unwrap_or_default();
    done(format!("{lead}action={action}, content={}", answer["content"])).into()
}

fn person() -> Value {
    json!({"type": "object", "required": ["username", "email"], "properties": {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }})
}

fn defaults() -> Value {
    json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

fn choices() -> Value {
    let titled = |word: &str| {
        json!([
            {"const": "value1", "title": format!("First {word}")},
            {"const": "value2", "title": format!("Second {word}")},
            {"const": "value3", "title": format!("Third {word}")},
        ])
    };
    let plain = json!(["option1", "option2", "option3"]);
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    }})
}

fn done(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn failed(text: &str) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}
