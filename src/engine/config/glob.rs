//! Patterns for names: `*` stands for any characters, everything else for itself.

use std::sync::Arc;

/// `github_*`, `*_delete`, `bank_pay`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(Arc<str>);

impl Glob {
    /// A pattern; any text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits. Takes time in proportion to the product of both lengths at worst.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        // The leftmost place for each part leaves the most for those behind it.
        let mut rest = rest;
        for part in parts {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_anything_and_nothing() {
        let fits = |pattern: &str, name: &str| Glob::new(pattern).matches(name);
        assert!(fits("*", "") && fits("*", "anything") && fits("github_*", "github_") && fits("**", "a"));
        assert!(fits("*_delete", "bank_delete") && fits("a*b*c", "a1b2b3c") && fits("tools/call", "tools/call"));
        assert!(!fits("github_*", "gitlab_x") && !fits("bank_pay", "bank_pay2") && !fits("a*a", "a"));
        assert!(!fits("", "a") && fits("", ""));
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_name_fits_it(parts in prop::collection::vec("[ab*]{0,3}", 0..5)) {
            let name: String = parts.concat();
            let pattern = format!("*{}*", parts.join("*"));
            prop_assert!(Glob::new(&pattern).matches(&name.replace('*', "")) );
        }
    }
}
