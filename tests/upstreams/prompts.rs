//! `prompts/get`.

use crate::input_required::{self, answered};
use crate::questions::{self, is_modern};
use crate::tools::IMAGE;
use rmcp::ErrorData;
use rmcp::model::{
    ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult, PromptMessage, ResourceContents, Role,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::json;

/// A legacy client is asked by requests, see `questions`.
pub(crate) async fn get(
    mut request: GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResponse, ErrorData> {
    loop {
        let response = once(&request)?;
        let (GetPromptResponse::InputRequired(asked), false) = (&response, is_modern(context)) else {
            return Ok(response);
        };
        let questions = asked.input_requests.clone().unwrap_or_default();
        request.input_responses = Some(questions::put(&context.peer, questions).await?);
    }
}

fn once(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        let arguments = request.arguments.as_ref();
        arguments
            .and_then(|arguments| arguments.get(name)?.as_str())
            .unwrap_or_default()
    };
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![text(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = ResourceContents::text("Embedded resource content for testing.", argument("resourceUri"));
            vec![
                user(ContentBlock::resource(resource)),
                text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => {
            vec![
                user(ContentBlock::image(IMAGE, "image/png")),
                text("Please analyze the image above."),
            ]
        }
        "test_input_required_result_prompt" => match answered(request.input_responses.as_ref(), "user_context") {
            Some(answer) => vec![text(format!("With context: {}", answer["content"]["context"]))],
            None => {
                let question = input_required::form("What context should the prompt use?", "context", "string");
                return Ok(input_required::ask(json!({"user_context": question}), None).into());
            }
        },
        name => return Err(ErrorData::invalid_params(format!("unknown prompt: {name}"), None)),
    };
    Ok(GetPromptResult::new(messages).into())
}

fn text(text: impl Into<String>) -> PromptMessage {
    user(ContentBlock::text(text))
}

fn user(content: ContentBlock) -> PromptMessage {
    PromptMessage::new(Role::User, content)
}
