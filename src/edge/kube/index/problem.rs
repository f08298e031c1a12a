//! Why something cannot be served: the reason in a condition, and a message that says what to do.

use std::fmt;

/// The reasons that the conditions of this controller carry besides `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// The HTTPRoute does not exist.
    RouteNotFound,
    /// The HTTPRoute cannot be used as it is.
    RouteInvalid,
    /// No valid extension serves the Gateway of the route.
    NoExtension,
    /// A reference into another namespace is not granted there.
    ReferenceGrantRequired,
    /// No listener takes the route.
    ListenerNotAllowed,
    /// The Service, or what stands in its place, does not exist.
    BackendNotFound,
    /// A backend of a kind that cannot be resolved.
    BackendUnsupported,
    /// The Secret or ConfigMap does not exist.
    SecretNotFound,
    /// It lacks the label or the key, or holds something that cannot be used.
    SecretInvalid,
    /// An older registration has the prefix.
    PrefixConflict,
    /// An older route has the requests.
    RouteConflict,
    /// The object says something that cannot be done.
    Invalid,
    /// The extension cannot be used as it is.
    InvalidMCPGatewayExtension,
    /// Switched off by its owner.
    Disabled,
}

impl Why {
    /// The word in the condition.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RouteNotFound => "RouteNotFound",
            Self::RouteInvalid => "RouteInvalid",
            Self::NoExtension => "NoExtension",
            Self::ReferenceGrantRequired => "ReferenceGrantRequired",
            Self::ListenerNotAllowed => "ListenerNotAllowed",
            Self::BackendNotFound => "BackendNotFound",
            Self::BackendUnsupported => "BackendUnsupported",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretInvalid => "SecretInvalid",
            Self::PrefixConflict => "PrefixConflict",
            Self::RouteConflict => "RouteConflict",
            Self::Invalid => "Invalid",
            Self::InvalidMCPGatewayExtension => "InvalidMCPGatewayExtension",
            Self::Disabled => "Disabled",
        }
    }
}

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// For programs.
    pub why: Why,
    /// For people: what is wrong and what mends it. Never a secret.
    pub message: String,
}

impl Problem {
    /// With this message.
    pub(crate) fn new(why: Why, message: impl Into<String>) -> Self {
        Self {
            why,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.why.as_str(), self.message)
    }
}
