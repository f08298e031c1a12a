//! Every method a client may send, as one enum, so that each reader has to say what it does with a new one.

/// A method or notification that clients send. Unknown ones are no variant: see [`Method::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `initialize` (legacy)
    Initialize,
    /// `server/discover` (modern)
    Discover,
    /// `ping` (legacy)
    Ping,
    /// `tools/list`
    ToolsList,
    /// `tools/call`
    ToolsCall,
    /// `prompts/list`
    PromptsList,
    /// `prompts/get`
    PromptsGet,
    /// `resources/list`
    ResourcesList,
    /// `resources/templates/list`
    ResourceTemplatesList,
    /// `resources/read`
    ResourcesRead,
    /// `resources/subscribe` (legacy)
    ResourcesSubscribe,
    /// `resources/unsubscribe` (legacy)
    ResourcesUnsubscribe,
    /// `completion/complete`
    Complete,
    /// `logging/setLevel` (legacy)
    SetLevel,
    /// `subscriptions/listen` (modern)
    Listen,
    /// `tasks/get`
    TasksGet,
    /// `tasks/update`
    TasksUpdate,
    /// `tasks/result`
    TasksResult,
    /// `tasks/cancel`
    TasksCancel,
    /// `tasks/list`
    TasksList,
}

impl Method {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 20] = [
        Self::Initialize,
        Self::Discover,
        Self::Ping,
        Self::ToolsList,
        Self::ToolsCall,
        Self::PromptsList,
        Self::PromptsGet,
        Self::ResourcesList,
        Self::ResourceTemplatesList,
        Self::ResourcesRead,
        Self::ResourcesSubscribe,
        Self::ResourcesUnsubscribe,
        Self::Complete,
        Self::SetLevel,
        Self::Listen,
        Self::TasksGet,
        Self::TasksUpdate,
        Self::TasksResult,
        Self::TasksCancel,
        Self::TasksList,
    ];

    /// Reads a method name; notifications and unknown names give `None`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        // The common ones first; the rest by search, they are few.
        match name {
            "tools/call" => Some(Self::ToolsCall),
            "tools/list" => Some(Self::ToolsList),
            _ => Self::ALL.into_iter().find(|method| method.as_str() == name),
        }
    }

    /// As it stands on the wire; also the label in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::Ping => "ping",
            Self::ToolsList => "tools/list",
            Self::ToolsCall => "tools/call",
            Self::PromptsList => "prompts/list",
            Self::PromptsGet => "prompts/get",
            Self::ResourcesList => "resources/list",
            Self::ResourceTemplatesList => "resources/templates/list",
            Self::ResourcesRead => "resources/read",
            Self::ResourcesSubscribe => "resources/subscribe",
            Self::ResourcesUnsubscribe => "resources/unsubscribe",
            Self::Complete => "completion/complete",
            Self::SetLevel => "logging/setLevel",
            Self::Listen => "subscriptions/listen",
            Self::TasksGet => "tasks/get",
            Self::TasksUpdate => "tasks/update",
            Self::TasksResult => "tasks/result",
            Self::TasksCancel => "tasks/cancel",
            Self::TasksList => "tasks/list",
        }
    }
}
