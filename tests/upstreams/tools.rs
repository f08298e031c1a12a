//! `tools/call`: the tools that answer alone, and the way to those of the other rooms.

use crate::http::RawBody;
use crate::state::{State, locked};
use crate::subscriptions::Changed;
use crate::{input_required, messages, tasks};
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, ResourceContents,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::time::Duration;

/// One red pixel.
pub(crate) const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
/// No samples at all, with a header that says so.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

type Context = RequestContext<RoleServer>;

pub(crate) async fn call(
    state: &State,
    request: CallToolRequestParams,
    context: Context,
) -> Result<CallToolResponse, ErrorData> {
    if let Some(response) = input_required::call(request.clone(), &context).await {
        return response;
    }
    if let Some(response) = tasks::call(state, &request, &context).await {
        return response;
    }
    if let Some(result) = messages::call(&request, &context).await {
        return result.map(Into::into);
    }
    let name = request.name.as_ref();
    let number = |key: &str| {
        request
            .arguments
            .as_ref()
            .and_then(|arguments| arguments.get(key)?.as_u64())
            .unwrap_or(0)
    };
    let word = |key: &str| {
        let arguments = request.arguments.as_ref();
        arguments
            .and_then(|arguments| arguments.get(key)?.as_str())
            .unwrap_or_default()
    };
    let content = match name {
        "test_simple_text" => ContentBlock::text("This is a simple text response for testing."),
        "test_image_content" => ContentBlock::image(IMAGE, "image/png"),
        "test_audio_content" => ContentBlock::audio(SOUND, "audio/wav"),
        "test_embedded_resource" => ContentBlock::resource(ResourceContents::text(
            "This is an embedded resource content.",
            "test://embedded-resource",
        )),
        "test_multiple_content_types" => return Ok(CallToolResult::success(mixed()).into()),
        "test_error_handling" => return Ok(error("This tool intentionally returns an error for testing")),
        "test_reconnection" => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            ContentBlock::text("Reconnection test completed")
        }
        "test_missing_capability" => needs_sampling(&context)?,
        "test_trigger_tool_change" => told(state, Changed::Tools).await,
        "test_trigger_prompt_change" => told(state, Changed::Prompts).await,
        "touch" => {
            state.watchers.tell_updated(word("uri")).await;
            ContentBlock::text("told")
        }
        "test_x_mcp_header" => ContentBlock::text("The header and the parameter agree."),
        "echo" => ContentBlock::text(raw_arguments(&context)),
        "sleep" => {
            messages::sleep(&context, Duration::from_millis(number("ms"))).await;
            ContentBlock::text("slept")
        }
        "big" => ContentBlock::text("x".repeat(usize::try_from(number("bytes")).unwrap_or(0).min(64 << 20))),
        "headers" => return Ok(CallToolResult::structured(Value::Object(headers(&context))).into()),
        _ if locked(&state.catalog).tools.iter().any(|tool| tool.name == name) => ContentBlock::text(name),
        _ => return Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
    };
    Ok(CallToolResult::success(vec![content]).into())
}

fn mixed() -> Vec<ContentBlock> {
    let resource = ResourceContents::text(r#"{"test":"data","value":123}"#, "test://mixed-content-resource");
    vec![
        ContentBlock::text("Multiple content types test:"),
        ContentBlock::image(IMAGE, "image/png"),
        ContentBlock::resource(resource.with_mime_type("application/json")),
    ]
}

fn error(text: &str) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}

fn needs_sampling(context: &Context) -> Result<ContentBlock, ErrorData> {
    if context
        .client_capabilities()
        .is_some_and(|declared| declared.sampling.is_some())
    {
        return Ok(ContentBlock::text("The client declared sampling."));
    }
    Err(ErrorData::missing_required_client_capability(
        ClientCapabilities::builder().enable_sampling().build(),
    ))
}

async fn told(state: &State, changed: Changed) -> ContentBlock {
    state.watchers.tell(changed).await;
    ContentBlock::text("told")
}

fn http_request(context: &Context) -> Option<&::http::request::Parts> {
    context.extensions.get::<::http::request::Parts>()
}

/// The bytes of `params.arguments` as they came.
fn raw_arguments(context: &Context) -> String {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        params: Params<'a>,
    }
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        arguments: Option<&'a RawValue>,
    }
    let body = http_request(context).and_then(|parts| parts.extensions.get::<RawBody>());
    let body = body.and_then(|body| serde_json::from_slice::<Body<'_>>(&body.0).ok());
    body.and_then(|body| body.params.arguments)
        .map(|raw| raw.get().to_owned())
        .unwrap_or_default()
}

fn headers(context: &Context) -> Map<String, Value> {
    let mut found: Map<String, Value> = Map::new();
    for (name, value) in http_request(context).iter().flat_map(|parts| &parts.headers) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = match found.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.into_owned(),
        };
        found.insert(name.to_string(), Value::String(joined));
    }
    found
}
