//! The tour of `tests/clients/tour.mjs`, taken by the Rust SDK.

#![expect(
    deprecated,
    reason = "rmcp marks what the current revision deprecates; older clients still use it"
)]

use crate::e2e::harness::PATIENCE;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, GetPromptRequestParams, Implementation, ListRootsResult,
    LoggingMessageNotificationParam, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
    ResourceUpdatedNotificationParam, Root, SamplingMessage, ServerNotification, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient, RunningService, Subscription};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What the client was told and asked, as lines.
#[derive(Clone, Default)]
struct Guest {
    diary: Arc<Diary>,
}

#[derive(Default)]
struct Diary {
    lines: Mutex<Vec<Value>>,
    /// Names of events that no step has taken yet.
    open: Mutex<Vec<String>>,
    woken: Notify,
}

impl Diary {
    /// The line first: whoever is woken may read it.
    fn note(&self, line: Value) {
        let event = line["event"].as_str().map(str::to_owned);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        if let Some(event) = event {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            self.woken.notify_waiters();
        }
    }

    fn take(&self, event: &str) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|known| known == event);
        at.map(|at| open.remove(at)).is_some()
    }

    async fn until(&self, event: &str) {
        let waiting = async {
            loop {
                let woken = self.woken.notified();
                if self.take(event) {
                    return;
                }
                woken.await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "no {event} in time: {:?}", self.lines.lock());
    }

    fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientHandler for Guest {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder()
            .enable_elicitation()
            .enable_sampling()
            .enable_roots()
            .build();
        ClientConfig::new(capabilities, Implementation::new("tour", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let request = serde_json::to_value(&request).unwrap_or_default();
        self.diary
            .note(json!({"event": "elicited", "message": request["message"]}));
        let schema = &request["requestedSchema"];
        let names = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let value = |name: &str| match schema["properties"][name]["type"].as_str() {
            Some("boolean") => json!(true),
            Some("integer" | "number") => json!(36),
            _ => json!("Ada"),
        };
        let content: Map<String, Value> = names.map(|name| (name.to_owned(), value(name))).collect();
        let result = json!({"action": "accept", "content": content});
        Ok(serde_json::from_value(result).expect("these are its members"))
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let request = serde_json::to_value(&request).unwrap_or_default();
        let content = &request["messages"][0]["content"];
        let block = content.get(0).unwrap_or(content);
        self.diary.note(json!({"event": "sampled", "prompt": block["text"]}));
        Ok(CreateMessageResult::new(
            SamplingMessage::assistant_text("Paris"),
            "none".to_owned(),
        ))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.diary.note(json!({"event": "rooted"}));
        Ok(ListRootsResult::new(vec![Root::new("file:///home/ada")]))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.diary
            .note(json!({"event": "progress", "progress": params.progress}));
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        self.diary.note(json!({"event": "log", "data": params.data}));
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        self.diary.note(json!({"event": "updated", "uri": params.uri}));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.diary.note(json!({"event": "tools_changed"}));
    }
}

/// Notes what a subscription brings, until its client goes.
async fn follow(mut subscription: Subscription, diary: Arc<Diary>) {
    while let Ok(Some(notification)) = subscription.next().await {
        let line = if let ServerNotification::ToolListChangedNotification(_) = notification {
            json!({"event": "tools_changed"})
        } else if let ServerNotification::ResourceUpdatedNotification(update) = notification {
            json!({"event": "updated", "uri": update.params.uri})
        } else {
            continue;
        };
        diary.note(line);
    }
}

/// Takes the tour in this mode: `legacy`, `auto`, or the modern revision without asking first.
pub(super) async fn tour(url: &str, mode: &str, steps: &Value) -> Vec<Value> {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match mode {
        "legacy" => ClientLifecycleMode::Initialize,
        "auto" => ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: None,
        },
        _ => ClientLifecycleMode::Discover { preferred_versions },
    };
    let guest = Guest::default();
    let diary = Arc::clone(&guest.diary);
    let transport = StreamableHttpClientTransport::from_uri(url);
    let client = guest
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .expect("rmcp connects");
    let mut following = None;
    let mut level = None;
    for step in steps.as_array().expect("an array") {
        if let Some(uri) = step["listen"].as_str().filter(|_| mode != "legacy") {
            let filter: SubscriptionFilter =
                serde_json::from_value(json!({"toolsListChanged": true, "resourceSubscriptions": [uri]}))
                    .expect("these are its members");
            let subscription = client.peer().listen(filter).await.expect("rmcp listens");
            following = Some(tokio::spawn(follow(subscription, Arc::clone(&diary))));
        } else if let Some(wanted) = step["level"].as_str().filter(|_| mode != "legacy") {
            level = Some(wanted.to_owned());
        } else {
            take(&client, &diary, step, level.as_deref()).await;
        }
    }
    if let Some(following) = following {
        following.abort();
    }
    client.cancel().await.expect("rmcp disconnects");
    diary.lines()
}

async fn take(client: &RunningService<RoleClient, Guest>, diary: &Diary, step: &Value, level: Option<&str>) {
    let text = |key: &str| step[key].as_str();
    let mut params = json!({"arguments": step.get("arguments").cloned().unwrap_or_else(|| json!({}))});
    if let Some(level) = level {
        params["_meta"] = json!({"io.modelcontextprotocol/logLevel": level});
    }
    if let Some(name) = text("call") {
        params["name"] = json!(name);
        let call: CallToolRequestParams = serde_json::from_value(params).expect("these are its members");
        let result = client
            .call_tool(call)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let result = serde_json::to_value(&result).unwrap_or_default();
        let failed = result["isError"].as_bool().unwrap_or(false);
        diary.note(json!({"step": "call", "name": name, "content": result["content"], "isError": failed}));
    } else if let Some(name) = text("prompt") {
        params["name"] = json!(name);
        let prompt: GetPromptRequestParams = serde_json::from_value(params).expect("these are its members");
        let result = client.get_prompt(prompt).await.expect(name);
        diary.note(json!({"step": "prompt", "messages": result.messages}));
    } else if let Some(uri) = text("read") {
        let result = client
            .read_resource(ReadResourceRequestParams::new(uri))
            .await
            .expect(uri);
        diary.note(json!({"step": "read", "contents": result.contents}));
    } else if let Some(name) = text("complete") {
        let value = text("value").unwrap_or_default();
        let found = client.peer().complete_prompt_argument(name, "arg1", value, None).await;
        diary.note(json!({"step": "complete", "values": found.expect(name).values}));
    } else if let Some(uri) = text("listen") {
        let subscribed = client.peer().subscribe(SubscribeRequestParams::new(uri)).await;
        subscribed.expect(uri);
    } else if let Some(level) = text("level") {
        let level: SetLevelRequestParams =
            serde_json::from_value(json!({"level": level})).expect("these are its members");
        client.peer().set_level(level).await.expect("level");
    } else if let Some(event) = text("await") {
        diary.until(event).await;
    }
}
