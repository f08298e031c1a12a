//! The filter of `subscriptions/listen`: what a client wants to hear, and which upstream has to say it.

use super::Kinds;
use crate::engine::jsonrpc::splice::quote;
use crate::engine::jsonrpc::{EnvelopeError, Object};
use crate::engine::mcp::{Era, Version, uris};
use std::borrow::Cow;
use std::sync::Arc;

/// URIs, or tasks, of one listen; more are an error rather than a memory.
const MOST: usize = 1024;

/// What a client asks for, read from `params.notifications`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The lists.
    pub kinds: Kinds,
    /// `resourceSubscriptions`, as the client wrote them.
    pub uris: Vec<Box<str>>,
    /// `taskIds` of the tasks extension, as the client knows them.
    pub tasks: Vec<Box<str>>,
    /// Members that this gateway does not know, raw and joined by commas: an upstream may.
    pub more: Box<str>,
}

/// What one upstream has to say for a listen, or for the subscriptions of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Configured name.
    pub upstream: Arc<str>,
    /// How it is spoken to.
    pub era: Era,
    /// In that era.
    pub version: Version,
    /// Its resources are known to clients by URIs that bear its name.
    pub rewrites: bool,
    /// Resources that it owns, as it knows them.
    pub uris: Vec<Box<str>>,
    /// Tasks that it runs.
    pub tasks: Vec<Task>,
    /// See [`Filter::more`].
    pub more: Box<str>,
}

/// A task whose progress a client wants to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// As the client knows it.
    pub exposed: Box<str>,
    /// As its upstream does.
    pub own: Box<str>,
}

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// Not an object, or with members that stand twice.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A member has the wrong type.
    #[error("{0}")]
    Type(&'static str),
}

impl Filter {
    /// Reads the members of `params.notifications`.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub fn read(object: &Object<'_>) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        let mut more = Vec::new();
        for (key, raw) in &object.members {
            let flag = || match *raw {
                "true" => Ok(true),
                "false" | "null" => Ok(false),
                _ => Err(FilterError::Type("params.notifications.*ListChanged must be boolean")),
            };
            match key.as_ref() {
                "toolsListChanged" => filter.kinds.tools = flag()?,
                "promptsListChanged" => filter.kinds.prompts = flag()?,
                "resourcesListChanged" => filter.kinds.resources = flag()?,
                "resourceSubscriptions" => {
                    let wrong = "params.notifications.resourceSubscriptions must be up to 1024 strings";
                    filter.uris = strings(raw, wrong)?;
                }
                "taskIds" => filter.tasks = strings(raw, "params.notifications.taskIds must be up to 1024 strings")?,
                other => more.push(format!("{}:{raw}", String::from_utf8_lossy(&quote(other)))),
            }
        }
        filter.more = more.join(",").into();
        Ok(filter)
    }
}

fn strings(raw: &str, complaint: &'static str) -> Result<Vec<Box<str>>, FilterError> {
    if raw == "null" {
        return Ok(Vec::new());
    }
    let wrong = FilterError::Type(complaint);
    let mut strings: Vec<Box<str>> = serde_json::from_str(raw).map_err(|_| wrong.clone())?;
    if strings.len() > MOST {
        return Err(wrong);
    }
    let mut seen = std::collections::HashSet::with_capacity(strings.len());
    strings.retain(|string| seen.insert(string.clone()));
    Ok(strings)
}

/// A JSON array of these strings.
pub(super) fn array<'a>(strings: impl Iterator<Item = &'a str>) -> String {
    let strings: Vec<_> = strings.map(quote).collect();
    let strings: Vec<_> = strings.iter().map(|string| String::from_utf8_lossy(string)).collect();
    format!("[{}]", strings.join(","))
}

impl Part {
    /// `notifications` of the listen that the gateway holds at a modern upstream, as a member of `params`.
    #[must_use]
    pub fn members(&self) -> String {
        let mut members = Vec::new();
        if !self.uris.is_empty() {
            let uris = array(self.uris.iter().map(|uri| &**uri));
            members.push(format!(r#""resourceSubscriptions":{uris}"#));
        }
        if !self.tasks.is_empty() {
            let own = array(self.tasks.iter().map(|task| &*task.own));
            members.push(format!(r#""taskIds":{own}"#));
        }
        if !self.more.is_empty() {
            members.push(self.more.to_string());
        }
        format!(r#""notifications":{{{}}}"#, members.join(","))
    }

    /// The URI by which clients know a resource of it.
    #[must_use]
    pub fn exposed<'a>(&self, uri: &'a str) -> Cow<'a, str> {
        if self.rewrites {
            Cow::Owned(uris::expose(&self.upstream, uri))
        } else {
            Cow::Borrowed(uri)
        }
    }

    /// True if clients know its tasks by other ids than it does.
    #[must_use]
    pub fn exposes_tasks(&self) -> bool {
        self.tasks.iter().any(|task| task.exposed != task.own)
    }

    /// True if `uri` is subscribed to, or lies below one that is (resources, subscriptions: an update may name a
    /// sub-resource).
    #[must_use]
    pub fn concerns(&self, uri: &str) -> bool {
        self.uris.iter().any(|own| covers(own, uri))
    }
}

/// True if a subscription to `subscribed` is about `uri` too.
#[must_use]
pub fn covers(subscribed: &str, uri: &str) -> bool {
    uri.strip_prefix(subscribed)
        .is_some_and(|rest| rest.is_empty() || subscribed.ends_with('/') || rest.starts_with(['/', '?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(raw: &str) -> Result<Filter, FilterError> {
        Filter::read(&Object::read(raw)?)
    }

    #[test]
    fn what_is_not_known_is_kept_as_it_is() {
        let filter =
            read(r#"{"toolsListChanged":true,"taskIds":["t"],"resourceSubscriptions":["a","b","a"],"x":{ "y":1 }}"#)
                .expect("a filter");
        assert!(filter.kinds.tools && !filter.kinds.prompts);
        assert_eq!(filter.uris, ["a".into(), "b".into()]);
        assert_eq!(filter.tasks, ["t".into()]);
        assert_eq!(&*filter.more, r#""x":{ "y":1 }"#);
        let part = Part {
            upstream: "up".into(),
            era: Era::Modern,
            version: Version::NEWEST,
            rewrites: false,
            uris: filter.uris,
            tasks: vec![Task {
                exposed: "mt:up:t".into(),
                own: "t".into(),
            }],
            more: filter.more,
        };
        assert_eq!(
            part.members(),
            r#""notifications":{"resourceSubscriptions":["a","b"],"taskIds":["t"],"x":{ "y":1 }}"#
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        assert!(read(r#"{"toolsListChanged":1}"#).is_err());
        assert!(read(r#"{"resourceSubscriptions":"a"}"#).is_err());
        assert!(read(r#"{"resourceSubscriptions":[1]}"#).is_err());
        let many: Vec<String> = (0..=MOST).map(|n| n.to_string()).collect();
        let many = serde_json::to_string(&many).expect("strings");
        assert!(read(&format!(r#"{{"resourceSubscriptions":{many}}}"#)).is_err());
    }

    #[test]
    fn a_subscription_covers_what_lies_below() {
        for (subscribed, uri, expected) in [
            ("file:///a", "file:///a", true),
            ("file:///a", "file:///a/b", true),
            ("file:///a/", "file:///a/b", true),
            ("file:///a", "file:///ab", false),
            ("file:///a/b", "file:///a", false),
        ] {
            assert_eq!(covers(subscribed, uri), expected, "{subscribed} {uri}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_read(raw in ".{0,60}") {
            let _ = read(&raw);
        }
    }
}
