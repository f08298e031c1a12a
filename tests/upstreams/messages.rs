//! Tools that talk to the client while they run: logs, progress, sampling, elicitation.

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, CreateMessageRequestParams, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion, SamplingMessage,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use std::time::Duration;

type Context = RequestContext<RoleServer>;

/// Answers the tools of this file; `None` for others.
pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &Context,
) -> Option<Result<CallToolResult, ErrorData>> {
    let argument = |key: &str| {
        let arguments = request.arguments.as_ref();
        arguments
            .and_then(|arguments| arguments.get(key)?.as_str())
            .unwrap_or_default()
    };
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
        "test_sampling" => sample(context, argument("prompt")).await,
        "test_elicitation" => elicit(context, argument("message"), person(), "User response: ").await,
        "test_elicitation_sep1034_defaults" => {
            elicit(
                context,
                "Please check the defaults",
                defaults(),
                "Elicitation completed: ",
            )
            .await
        }
        "test_elicitation_sep1330_enums" => {
            elicit(context, "Please choose", choices(), "Elicitation completed: ").await
        }
        _ => return None,
    })
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Modern clients hear logs only where they asked for them in the request.
async fn log_all(context: &Context, texts: &[&str]) -> Result<CallToolResult, ErrorData> {
    let modern = context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    let silent = modern && context.meta.log_level().is_none();
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

async fn sample(context: &Context, prompt: &str) -> Result<CallToolResult, ErrorData> {
    if context
        .client_capabilities()
        .is_none_or(|declared| declared.sampling.is_none())
    {
        return Ok(failed("the client does not support sampling"));
    }
    let question = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    Ok(match context.peer.create_message(question).await {
        Ok(answer) => done(format!(
            "LLM response: {}",
            text_of(&serde_json::to_value(&answer).unwrap_or_default())
        )),
        Err(error) => failed(&error.to_string()),
    })
}

fn text_of(message: &Value) -> String {
    let content = &message["content"];
    let block = content.get(0).unwrap_or(content);
    block["text"].as_str().unwrap_or_default().to_owned()
}

async fn elicit(context: &Context, message: &str, schema: Value, lead: &str) -> Result<CallToolResult, ErrorData> {
    if context
        .client_capabilities()
        .is_none_or(|declared| declared.elicitation.is_none())
    {
        return Ok(failed("the client does not support elicitation"));
    }
    let question = json!({"mode": "form", "message": message, "requestedSchema": schema});
    let question = serde_json::from_value(question).expect("the schemas of this file are valid");
    Ok(match context.peer.create_elicitation(question).await {
        Ok(answer) => {
            let answer = serde_json::to_value(&answer).unwrap_or_default();
            let action = answer["action"].as_str().unwrap_or_default();
            done(format!("{lead}action={action}, content={}", answer["content"]))
        }
        Err(error) => failed(&error.to_string()),
    })
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

fn failed(text: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
