//! The handler: each method of the protocol is one call into the room that knows it.

use crate::state::{State, locked};
use crate::subscriptions::Wanted;
use crate::{Eras, catalog, prompts, resources, tasks, tools};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult, CompletionInfo,
    DiscoverResult, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    Prompt, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, Resource, ResourceTemplate,
    ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};
use std::borrow::Cow;
use std::sync::Arc;

/// One session's (or one modern request's) view of the shared state.
#[derive(Clone)]
pub(crate) struct Server(Arc<State>, Wanted);

impl Server {
    pub(crate) fn new(state: &Arc<State>) -> Self {
        Self(Arc::clone(state), Wanted::default())
    }
}

type Context = RequestContext<RoleServer>;

impl Server {
    /// What this visitor is shown of a list. An item of somebody has `for_NAME_` in its name or URI.
    fn shown<T: Keyed + Clone>(&self, context: &Context, list: impl Fn(&catalog::Catalog) -> &Vec<T>) -> Vec<T> {
        let visitor = visitor(context);
        let catalog = locked(&self.0.catalog);
        let items = list(&catalog).iter();
        items
            .filter(|item| match item.key().split_once("for_") {
                Some((_, rest)) => visitor.is_some_and(|visitor| rest.split('_').next() == Some(visitor)),
                None => true,
            })
            .cloned()
            .collect()
    }
}

/// Who asks, as `x-user` says, else the bearer token.
fn visitor(context: &Context) -> Option<&str> {
    let parts = context.extensions.get::<http::request::Parts>()?;
    let header = |name| parts.headers.get(name)?.to_str().ok();
    let name = header("x-user").or_else(|| header("authorization")?.strip_prefix("Bearer "))?;
    name.rsplit(':').next()
}

trait Keyed {
    fn key(&self) -> &str;
}

impl Keyed for Tool {
    fn key(&self) -> &str {
        &self.name
    }
}

impl Keyed for Prompt {
    fn key(&self) -> &str {
        &self.name
    }
}

impl Keyed for Resource {
    fn key(&self) -> &str {
        &self.uri
    }
}

impl Keyed for ResourceTemplate {
    fn key(&self) -> &str {
        &self.uri_template
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        let name = &self.0.options.name;
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(name.clone(), env!("CARGO_PKG_VERSION")))
            .with_instructions(format!("This is {name}."))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match self.0.options.eras {
            Eras::Both => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
            Eras::Legacy => ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25)
                .to_vec()
                .into(),
            Eras::Modern => vec![ProtocolVersion::V_2026_07_28].into(),
        }
    }

    async fn discover(&self, _: Context) -> Result<DiscoverResult, ErrorData> {
        Ok(DiscoverResult::from_server_info(
            self.supported_protocol_versions().into_owned(),
            self.get_info(),
        ))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.0.watchers.add_session(context.peer, Arc::clone(&self.1));
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        locked(&self.0.catalog)
            .tools
            .iter()
            .find(|tool| tool.name == name)
            .cloned()
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let (items, next) = catalog::page(
            &self.shown(&context, |catalog| &catalog.tools),
            request.as_ref(),
            &self.0.options,
        )?;
        let mut result = ListToolsResult::with_all_items(items);
        result.next_cursor = next;
        Ok(result)
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: Context) -> Result<CallToolResponse, ErrorData> {
        tools::call(&self.0, request, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        let (items, next) = catalog::page(
            &self.shown(&context, |catalog| &catalog.prompts),
            request.as_ref(),
            &self.0.options,
        )?;
        let mut result = ListPromptsResult::with_all_items(items);
        result.next_cursor = next;
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(request, &context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (items, next) = catalog::page(
            &self.shown(&context, |catalog| &catalog.resources),
            request.as_ref(),
            &self.0.options,
        )?;
        let mut result = ListResourcesResult::with_all_items(items);
        result.next_cursor = next;
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (items, next) = catalog::page(
            &self.shown(&context, |catalog| &catalog.templates),
            request.as_ref(),
            &self.0.options,
        )?;
        let mut result = ListResourceTemplatesResult::with_all_items(items);
        result.next_cursor = next;
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri)
    }

    async fn subscribe(&self, request: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        locked(&self.1).insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        locked(&self.1).remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.0.watchers.hold(context).await;
        Ok(())
    }

    async fn complete(&self, request: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party"]
            .into_iter()
            .filter(|word| word.starts_with(&request.argument.value));
        let values = CompletionInfo::new(words.map(str::to_owned).collect());
        Ok(CompleteResult::new(
            values.map_err(|error| ErrorData::internal_error(error, None))?,
        ))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn get_task(&self, request: GetTaskParams, _: Context) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&self.0.tasks, &request)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.0.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.0.tasks.cancel_task(&request.task_id)
    }
}
