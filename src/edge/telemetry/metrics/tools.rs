//! Names of tools as labels: of those that an upstream lists, and of so many only.

use crate::engine::exchange::Record;
use crate::engine::mcp::Method;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Each is a histogram; all beyond are one.
const MOST: usize = 500;
const OTHER: &str = "_OTHER";

/// The names that are labels, in the order in which they were first called.
#[derive(Debug)]
pub(super) struct ToolNames {
    /// Read for each call, written for each new name.
    known: RwLock<HashSet<Arc<str>>>,
    other: Arc<str>,
}

impl Default for ToolNames {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            other: OTHER.into(),
        }
    }
}

impl ToolNames {
    /// `None`: no tool was called, or none that anybody lists.
    pub(super) fn of(&self, record: &Record) -> Option<Arc<str>> {
        let name = record.tool.as_ref().filter(|_| record.listed)?;
        if record.known != Some(Method::ToolsCall) {
            return None;
        }
        // Nothing panics while it is held.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return Some(Arc::clone(name));
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains(name) {
            return Some(Arc::clone(&self.other));
        }
        known.insert(Arc::clone(name));
        Some(Arc::clone(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_call(name: &str) -> Record {
        Record {
            known: Some(Method::ToolsCall),
            tool: Some(name.into()),
            listed: true,
            ..Record::default()
        }
    }

    #[test]
    fn only_tools_that_are_listed_have_a_label_and_so_many_of_them() {
        let names = ToolNames::default();
        let unlisted = Record {
            listed: false,
            ..mk_call("made up")
        };
        assert_eq!(names.of(&unlisted), None);
        let prompt = Record {
            known: Some(Method::PromptsGet),
            ..mk_call("prompt")
        };
        assert_eq!(names.of(&prompt), None);
        for number in 0..MOST {
            let name = format!("tool_{number}");
            assert_eq!(names.of(&mk_call(&name)).as_deref(), Some(&*name));
        }
        assert_eq!(names.of(&mk_call("one more")).as_deref(), Some(OTHER));
        assert_eq!(names.of(&mk_call("tool_7")).as_deref(), Some("tool_7"), "it was first");
    }
}
