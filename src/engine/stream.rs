//! What goes out on a stream that a client holds open: legacy GET streams and modern `subscriptions/listen`.
//!
//! Pure: what each of them wants, what it still has to hear, and what becomes of an upstream's event on the way. Who
//! opens which upstream stream, and when, is for `edge/upstream/hub`.

pub mod event_id;
pub mod filter;
pub mod outbox;
pub mod pass;
pub mod say;

pub use filter::{Filter, Part};
pub use outbox::{Full, Outbox};

/// Lists whose change is told to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// `notifications/tools/list_changed`
    pub tools: bool,
    /// `notifications/prompts/list_changed`
    pub prompts: bool,
    /// `notifications/resources/list_changed`, of resources and templates.
    pub resources: bool,
}

impl Kinds {
    /// Every list.
    pub const ALL: Self = Self {
        tools: true,
        prompts: true,
        resources: true,
    };

    /// The list that a notification speaks of; `None`: it speaks of something else.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        match method {
            "notifications/tools/list_changed" => Some(Self {
                tools: true,
                ..Self::default()
            }),
            "notifications/prompts/list_changed" => Some(Self {
                prompts: true,
                ..Self::default()
            }),
            "notifications/resources/list_changed" => Some(Self {
                resources: true,
                ..Self::default()
            }),
            _ => None,
        }
    }

    /// None of them.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !(self.tools || self.prompts || self.resources)
    }

    /// In either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
        }
    }

    /// In both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            prompts: self.prompts && other.prompts,
            resources: self.resources && other.resources,
        }
    }

    /// The methods of the notifications.
    pub fn methods(self) -> impl Iterator<Item = &'static str> {
        [
            (self.tools, "notifications/tools/list_changed"),
            (self.prompts, "notifications/prompts/list_changed"),
            (self.resources, "notifications/resources/list_changed"),
        ]
        .into_iter()
        .filter_map(|(wanted, method)| wanted.then_some(method))
    }
}
