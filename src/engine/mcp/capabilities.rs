//! What a client or a server declares it can do, reduced to the facts that this gateway decides on.

use crate::engine::jsonrpc::Object;

/// Capabilities of a client that let upstreams send it requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientFlags {
    /// `sampling`
    pub sampling: bool,
    /// `elicitation`
    pub elicitation: bool,
    /// `roots`
    pub roots: bool,
}

impl ClientFlags {
    /// Reads them from the raw `capabilities` of initialize; anything unreadable counts as absent.
    #[must_use]
    pub fn read(capabilities: &str) -> Self {
        let Ok(declared) = Object::read(capabilities) else {
            return Self::default();
        };
        Self {
            sampling: has(&declared, "sampling"),
            elicitation: has(&declared, "elicitation"),
            roots: has(&declared, "roots"),
        }
    }

    /// True if an upstream may send this client requests.
    #[must_use]
    pub const fn any(self) -> bool {
        self.sampling || self.elicitation || self.roots
    }

    /// One bit each, for the session id.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.sampling as u8 | (self.elicitation as u8) << 1 | (self.roots as u8) << 2
    }

    /// The reverse of [`ClientFlags::bits`].
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self {
            sampling: bits & 1 != 0,
            elicitation: bits & 2 != 0,
            roots: bits & 4 != 0,
        }
    }
}

/// Capabilities of a server that decide what we ask of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ServerFlags {
    /// `tools`
    pub tools: bool,
    /// `prompts`
    pub prompts: bool,
    /// `resources`
    pub resources: bool,
    /// `completions`
    pub completions: bool,
    /// `logging`
    pub logging: bool,
    /// `listChanged` under any of tools, prompts, resources.
    pub list_changed: bool,
    /// `resources.subscribe`
    pub subscribe: bool,
    /// `tasks` (2025-11-25), or the extension of that name (2026-07-28).
    #[serde(default)]
    pub tasks: bool,
    /// `tasks.list` (2025-11-25)
    #[serde(default)]
    pub tasks_list: bool,
}

/// The extension that brings tasks to 2026-07-28.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

impl ServerFlags {
    /// Reads them from the raw `capabilities` of initialize or discover; anything unreadable counts as absent.
    #[must_use]
    pub fn read(capabilities: &str) -> Self {
        let Ok(declared) = Object::read(capabilities) else {
            return Self::default();
        };
        let flag = |kind: &str, key: &str| {
            declared
                .object(kind)
                .ok()
                .flatten()
                .is_some_and(|kind| kind.raw(key) == Some("true"))
        };
        Self {
            tools: has(&declared, "tools"),
            prompts: has(&declared, "prompts"),
            resources: has(&declared, "resources"),
            completions: has(&declared, "completions"),
            logging: has(&declared, "logging"),
            list_changed: ["tools", "prompts", "resources"]
                .into_iter()
                .any(|kind| flag(kind, "listChanged")),
            subscribe: flag("resources", "subscribe"),
            tasks: has(&declared, "tasks") || has_inside(&declared, "extensions", TASKS_EXTENSION),
            tasks_list: has_inside(&declared, "tasks", "list"),
        }
    }
}

/// The same one level deeper.
fn has_inside(declared: &Object<'_>, group: &str, key: &str) -> bool {
    let group = declared.object(group).ok().flatten();
    group.is_some_and(|group| has(&group, key))
}

/// A capability is declared by being there; null is not there.
fn has(declared: &Object<'_>, key: &str) -> bool {
    declared.raw(key).is_some_and(|raw| raw != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_requests_is_known_by_its_capabilities() {
        let flags = ClientFlags::read(r#"{"sampling":{},"roots":{"listChanged":true},"elicitation":null}"#);
        assert_eq!(
            flags,
            ClientFlags {
                sampling: true,
                elicitation: false,
                roots: true
            }
        );
        assert_eq!(ClientFlags::from_bits(flags.bits()), flags);
        assert!(!ClientFlags::read("{}").any());
        assert!(!ClientFlags::read("[").any());
    }

    #[test]
    fn a_server_that_changes_its_lists_says_so_under_any_of_them() {
        let flags = ServerFlags::read(r#"{"tools":{},"prompts":{"listChanged":true},"resources":{"subscribe":false}}"#);
        assert!(flags.tools && flags.prompts && flags.resources && flags.list_changed);
        assert!(!flags.subscribe && !flags.logging && !flags.completions && !flags.tasks);
    }

    #[test]
    fn tasks_are_known_in_both_forms() {
        let legacy = ServerFlags::read(r#"{"tasks":{"cancel":{},"list":null}}"#);
        assert!(legacy.tasks && !legacy.tasks_list);
        assert!(ServerFlags::read(r#"{"tasks":{"list":{}}}"#).tasks_list);
        assert!(ServerFlags::read(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#).tasks);
    }
}
