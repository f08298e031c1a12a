//! Exposed names: prefix and upstream name joined within what clients accept (design: Names). (Interface first; body to come.)

use std::borrow::Cow;

/// The longest exposed name that all known clients accept.
pub const MAX_NAME: usize = 64;

/// The exposed name of a tool: prefix + name, made safe and cut to [`MAX_NAME`] with a hash of (upstream, name) where that changed anything.
#[must_use]
pub fn join_tool(_prefix: &str, _upstream: &str, _name: &str) -> String {
    unimplemented!()
}

/// The exposed name of a prompt: prefixed only.
#[must_use]
pub fn join_prompt<'a>(_prefix: &str, _name: &'a str) -> Cow<'a, str> {
    unimplemented!()
}
