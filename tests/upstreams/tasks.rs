//! Tools of the tasks extension (SEP-2663): they answer with a task where the client declared the extension.

use crate::input_required::{answered, ask, form};
use crate::state::State;
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateTaskResult,
    GetTaskParams, GetTaskResult, InputRequest,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use serde_json::{Value, json};
use std::time::Duration;

const NEED_TASKS: [&str; 4] = ["failing_job", "confirm_delete", "multi_input", "test_tool_with_task"];

pub(crate) fn get(tasks: &TaskManager, request: &GetTaskParams) -> Result<GetTaskResult, ErrorData> {
    tasks.get_task(&request.task_id).map(GetTaskResult::new)
}

/// Answers the tools of this file; `None` for others.
pub(crate) async fn call(
    state: &State,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let declared = context
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.supports_tasks());
    let name = request.name.as_ref();
    if NEED_TASKS.contains(&name) && !declared {
        let required = ClientCapabilities::builder().enable_tasks().build();
        return Some(Err(ErrorData::missing_required_client_capability(required)));
    }
    let argument = |key: &str| request.arguments.as_ref().and_then(|arguments| arguments.get(key));
    let text = |key: &str, default: &str| argument(key).and_then(Value::as_str).unwrap_or(default).to_owned();
    let job = match name {
        "greet" => return Some(Ok(done(format!("Hello, {}!", text("name", "friend"))).into())),
        "slow_compute" => Job::Slow {
            label: text("label", "compute"),
            seconds: argument("seconds").and_then(Value::as_f64).unwrap_or(1.0),
        },
        "failing_job" => Job::ToolError,
        "protocol_error_job" => Job::ProtocolError,
        "confirm_delete" => Job::Confirm(text("filename", "file.txt")),
        "multi_input" => Job::TwoQuestions,
        "test_tool_with_task" => match answered(request.input_responses.as_ref(), "user_name") {
            Some(answer) => Job::Hello(
                answer["content"]["name"]
                    .as_str()
                    .or(answer["content"]["user_name"].as_str())
                    .unwrap_or("nobody")
                    .to_owned(),
            ),
            None => {
                let question = form("What is your name?", "name", "string");
                return Some(Ok(ask(json!({"user_name": question}), None).into()));
            }
        },
        _ => return None,
    };
    if !declared {
        return Some(job.at_once().await.map(Into::into));
    }
    let task = state
        .tasks
        .spawn(TaskOptions::default(), move |task| Box::pin(job.run_as_task(task)));
    Some(Ok(CreateTaskResult::new(task).into()))
}

enum Job {
    Slow { label: String, seconds: f64 },
    ToolError,
    ProtocolError,
    Confirm(String),
    TwoQuestions,
    Hello(String),
}

impl Job {
    /// What needs nobody's answer.
    async fn at_once(self) -> Result<CallToolResult, ErrorData> {
        match self {
            Self::Slow { label, seconds } => {
                tokio::time::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 60.0))).await;
                Ok(done(format!("{label} took {seconds} s")))
            }
            Self::ToolError => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(CallToolResult::error(vec![ContentBlock::text("this job always fails")]))
            }
            Self::ProtocolError => Err(ErrorData::internal_error("this job always breaks", None)),
            Self::Hello(name) => Ok(done(format!("Hello, {name}!"))),
            Self::Confirm(_) | Self::TwoQuestions => Err(ErrorData::internal_error("this job needs a task", None)),
        }
    }

    async fn run_as_task(self, task: TaskContext) -> Result<CallToolResult, TaskExit> {
        match self {
            Self::Confirm(file) => {
                let answer = task
                    .request_input("confirm", question(&format!("Delete {file}?"), "confirm", "boolean"))
                    .await?;
                Ok(done(format!("{file}: {}", answer["content"]["confirm"])))
            }
            Self::TwoQuestions => {
                let first = task.request_input("input-a", question("Provide value A", "value", "string"));
                let second = task.request_input("input-b", question("Provide value B", "value", "string"));
                let (first, second) = tokio::try_join!(first, second)?;
                Ok(done(format!(
                    "{} and {}",
                    first["content"]["value"], second["content"]["value"]
                )))
            }
            Self::Slow { .. } | Self::ToolError | Self::ProtocolError | Self::Hello(_) => tokio::select! {
                () = task.cancelled() => Err(TaskExit::Cancelled),
                result = self.at_once() => result.map_err(TaskExit::Error),
            },
        }
    }
}

fn question(message: &str, field: &str, kind: &str) -> InputRequest {
    serde_json::from_value(form(message, field, kind)).expect("a form is a valid request")
}

fn done(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}
