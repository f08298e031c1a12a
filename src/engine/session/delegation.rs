//! What speaks for one caller at one upstream: header names and values.
//!
//! Lives in memory alone, and is never printed.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A header: lower-case name, value.
pub type Header = (Cow<'static, str>, Bytes);

/// See the module. Empty at upstreams that are told nothing of their callers.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Delegation(Option<Arc<Vec<Header>>>);

impl Delegation {
    /// Nothing.
    pub const NONE: Self = Self(None);

    /// These headers.
    #[must_use]
    pub fn new(headers: Vec<Header>) -> Self {
        Self((!headers.is_empty()).then(|| Arc::new(headers)))
    }

    /// True: nothing is said.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl fmt::Debug for Delegation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Delegation({} headers)", self.headers().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_printed() {
        let secret = Delegation::new(vec![("authorization".into(), Bytes::from_static(b"hunter2"))]);
        assert_eq!(format!("{secret:?}"), "Delegation(1 headers)");
        assert!(!secret.is_empty() && Delegation::new(Vec::new()).is_empty());
    }
}
