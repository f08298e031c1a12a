//! What is said back of a client's own words: enough to find them again, whatever their length.

use std::borrow::Cow;

/// Characters of a name, a URI or a key that are repeated in an error.
const REPEATED: usize = 128;

/// The text, or its beginning and an ellipsis.
pub(in crate::engine::exchange) fn echo(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ä".repeat(REPEATED);
        assert_eq!(echo(&long), long);
        assert_eq!(echo(&format!("{long}ö")), format!("{long}…"));
        assert_eq!(echo(""), "");
    }
}
