//! Whether a URI may come from an RFC 6570 template. Bounded: pieces times length, no backtracking.
//!
//! Looser than the RFC where that cannot misroute much: what an expression's variables are called, how many there are
//! and how they are encoded does not matter, only which characters its operator lets through.

/// URIs beyond this many bytes match no template, so that a client cannot make matching slow.
const MAX_URI: usize = 8 * 1024;

/// A template whose expressions are reduced to what they may expand to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(Box<str>),
    /// One or more bytes, none of them in `stop`.
    Some {
        stop: &'static [u8],
    },
    /// Nothing, or `lead` and then any number of bytes not in `stop`.
    Maybe {
        lead: u8,
        stop: &'static [u8],
    },
}

impl Template {
    /// Reads a template; `None` if its braces do not pair or an expression is empty.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (expression, after) = after.split_once('}')?;
            pieces.extend(literal_piece(literal)?);
            pieces.push(expression_piece(expression)?);
            rest = after;
        }
        pieces.extend(literal_piece(rest)?);
        Some(Self(pieces))
    }

    /// True if some values of its variables yield `uri`.
    pub(crate) fn matches(&self, uri: &str) -> bool {
        let uri = uri.as_bytes();
        // Most templates are told apart by how they begin.
        if let Some(Piece::Literal(start)) = self.0.first()
            && !uri.starts_with(start.as_bytes())
        {
            return false;
        }
        if uri.len() > MAX_URI {
            return false;
        }
        // reached[n]: the pieces so far can consume exactly the first n bytes.
        let mut reached = vec![false; uri.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for piece in &self.0 {
            reached = piece.advance(uri, &reached);
        }
        reached.last().copied().unwrap_or(false)
    }
}

impl Piece {
    fn advance(&self, uri: &[u8], reached: &[bool]) -> Vec<bool> {
        match self {
            Self::Literal(text) => literal(uri, reached, text.as_bytes()),
            Self::Some { stop } => run(uri, reached, stop),
            Self::Maybe { lead, stop } => {
                let led = literal(uri, reached, &[*lead]);
                let run = run(uri, &led, stop);
                let all = reached.iter().zip(&led).zip(&run);
                all.map(|((nothing, lead), more)| *nothing || *lead || *more).collect()
            }
        }
    }
}

/// Positions behind `text` wherever it stands at a reached one.
fn literal(uri: &[u8], reached: &[bool], text: &[u8]) -> Vec<bool> {
    let at = |end: usize| {
        let start = end.checked_sub(text.len())?;
        Some(*reached.get(start)? && uri.get(start..end)? == text)
    };
    (0..reached.len()).map(|end| at(end).unwrap_or(false)).collect()
}

/// Positions that one or more bytes outside `stop` lead to.
fn run(uri: &[u8], reached: &[bool], stop: &[u8]) -> Vec<bool> {
    let mut running = false;
    let mut next = Vec::with_capacity(reached.len());
    next.push(false);
    for (byte, reached) in uri.iter().zip(reached) {
        running = (running || *reached) && !stop.contains(byte);
        next.push(running);
    }
    next
}

/// The piece for the text between expressions; `Some(None)` if there is none.
#[expect(clippy::option_option, reason = "nothing to add and not a template are two things")]
fn literal_piece(text: &str) -> Option<Option<Piece>> {
    if text.contains('}') {
        return None;
    }
    Some((!text.is_empty()).then(|| Piece::Literal(text.into())))
}

/// RFC 6570, 2.2: the operator decides which characters come through.
fn expression_piece(expression: &str) -> Option<Piece> {
    let operator = *expression.as_bytes().first()?;
    let variables = expression.get(1..).unwrap_or_default();
    if expression.contains('{') || b"+#./;?&".contains(&operator) && variables.is_empty() {
        return None;
    }
    let several = variables.contains([',', '*']);
    Some(match operator {
        b'+' => Piece::Some { stop: b"" },
        b'#' => Piece::Maybe { lead: b'#', stop: b"" },
        b'/' if several => Piece::Maybe {
            lead: b'/',
            stop: b"?#",
        },
        lead @ (b'/' | b'.' | b';') => Piece::Maybe { lead, stop: b"/?#" },
        lead @ (b'?' | b'&') => Piece::Maybe { lead, stop: b"#" },
        _ => Piece::Some { stop: b"/" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(template: &str, uri: &str) -> bool {
        Template::parse(template).unwrap().matches(uri)
    }

    #[test]
    fn a_plain_variable_is_one_segment() {
        assert!(matches("test://template/{id}/data", "test://template/123/data"));
        assert!(!matches("test://template/{id}/data", "test://template//data"));
        assert!(!matches("test://template/{id}/data", "test://template/1/2/data"));
        assert!(!matches("test://template/{id}/data", "test://template/1/data/"));
        assert!(matches("repo://{owner}/{name}", "repo://a/b.c"));
        assert!(matches("x://{a}-{b}", "x://1-2-3"), "several ways to split are fine");
    }

    #[test]
    fn operators_let_their_own_characters_through() {
        assert!(matches("file:///{+path}", "file:///a/b/c?d#e"));
        assert!(!matches("file:///{+path}", "file:///"));
        assert!(matches("a://b{/path*}", "a://b/c/d"));
        assert!(matches("a://b{/path*}", "a://b"));
        assert!(matches("a://b{/path}/z", "a://b/c/z"));
        assert!(!matches("a://b{/path}", "a://b/c/d"));
        assert!(matches("a://b{?q,r}", "a://b?q=1&r=2"));
        assert!(matches("a://b{?q,r}", "a://b"));
        assert!(matches("a://b?x=1{&q}", "a://b?x=1&q=2"));
        assert!(matches("a://b{;v}", "a://b;v=1"));
        assert!(matches("a://b{.ext}", "a://b.json"));
        assert!(matches("a://b{#at}", "a://b#here/there"));
        assert!(!matches("a://b{#at}", "a://bhere"));
    }

    #[test]
    fn a_broken_template_is_none() {
        for broken in ["a://{", "a://}", "a://{}", "a://{b{c}}", "a://{+}", "a://{b}}"] {
            assert_eq!(Template::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_template_without_expressions_matches_itself() {
        assert!(matches("a://b", "a://b"));
        assert!(!matches("a://b", "a://bc"));
    }

    #[test]
    fn a_hostile_template_and_a_hostile_uri_are_answered_at_once() {
        let template = format!("a://{}", "{+x}a".repeat(100));
        assert!(!matches(&template, &format!("a://{}b", "a".repeat(8_000))));
        assert!(!matches("a://{+x}", &format!("a://{}", "a".repeat(MAX_URI))));
    }

    proptest! {
        #[test]
        fn an_expanded_template_matches(parts in prop::collection::vec(("[a-z:/]{1,4}", "[a-zA-Z0-9%._~-]{1,6}"), 1..5)) {
            let template: String = parts.iter().map(|(text, _)| format!("{text}{{v}}")).collect();
            let uri: String = parts.iter().map(|(text, value)| format!("{text}{value}")).collect();
            prop_assert!(matches(&template, &uri));
        }

        #[test]
        fn parsing_and_matching_never_panic(template in "[a-z{}+/?&.;#*,:]{0,30}", uri in "\\PC{0,40}") {
            if let Some(template) = Template::parse(&template) {
                template.matches(&uri);
            }
        }
    }
}
