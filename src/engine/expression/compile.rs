//! From text to a checked expression; what is wrong with it is told with line and column.

use super::check::check;
use super::guard::{Literals, rest};
use super::{Expression, evaluate};
use cel::common::ast::SourceInfo;
use std::sync::Arc;

/// Longer expressions are refused: nobody could review them.
const MAX_TEXT: usize = 16 * 1024;
/// Deeper ones are refused.
const MAX_DEPTH: u16 = 64;

/// What is wrong with an expression, and where. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Fault {
    /// Of the expression's text.
    pub line: usize,
    /// In characters.
    pub column: usize,
    /// In one line.
    pub message: String,
}

impl Expression {
    /// Reads and checks `text`: syntax, variables, functions, and that it can be true or false at all.
    ///
    /// # Errors
    /// The first fault.
    pub fn compile(text: &str) -> Result<Self, Fault> {
        if text.len() > MAX_TEXT {
            return Err(Fault::at(text, 0, format!("longer than {MAX_TEXT} bytes")));
        }
        let parser = evaluate::environment().parser().max_recursion_depth(MAX_DEPTH);
        let (tree, source) = parser
            .parse_with_source_info(text)
            .map_err(|errors| syntax(text, &errors))?;
        let reads = check(&tree).map_err(|found| Fault::of(text, &source, found.id, found.message))?;
        Ok(Self {
            literals: Literals::of(&tree),
            rest: rest(&tree).map(Arc::new),
            text: text.into(),
            tree: Arc::new(tree),
            reads,
        })
    }
}

impl Fault {
    /// At the node `id`.
    fn of(text: &str, source: &SourceInfo, id: u64, message: String) -> Self {
        let start = source.offset_for(id).map_or(0, |(start, _)| start as usize);
        Self::at(text, start, message)
    }

    /// At this many characters from the start.
    fn at(text: &str, start: usize, message: String) -> Self {
        let before: String = text.chars().take(start).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, message }
    }
}

/// The first thing that the parser complains of.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Fault {
    let Some(first) = errors.errors.first() else {
        return Fault::at(text, 0, "not an expression".to_owned());
    };
    let (line, column) = first.pos;
    let message = first.msg.lines().next().unwrap_or_default();
    Fault {
        line: usize::try_from(line).unwrap_or(1).max(1),
        column: usize::try_from(column).unwrap_or(1).max(1),
        message: plain(message.trim_start_matches("Syntax error: ")),
    }
}

/// What the parser says, in the words of those who write rules: it names its tokens, and all that it would have taken.
fn plain(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("token recognition error at: '") {
        let rest = rest.strip_suffix('\'').unwrap_or(rest);
        return match rest.chars().next() {
            Some('\'' | '"') => format!("a text that does not end: {rest}"),
            Some('=') => "= is no operator: == compares".to_owned(),
            Some('&' | '|') => "one of && and || is meant: there are no single ones".to_owned(),
            Some(_) | None => format!("{:?} means nothing here", rest.trim_end()),
        };
    }
    if message.contains("'<EOF>'") && !message.contains("expecting {<EOF>") || message.starts_with("Incomplete") {
        return match message.strip_prefix("missing ") {
            Some(rest) => format!("it ends too early: {} is missing", rest.trim_end_matches(" at '<EOF>'")),
            None => "it ends too early".to_owned(),
        };
    }
    let (told, _) = message.split_once(" expecting ").unwrap_or((message, ""));
    match told
        .trim_start_matches("mismatched input ")
        .trim_start_matches("extraneous input ")
    {
        "'and'" => "'and' is not understood: && is".to_owned(),
        "'or'" => "'or' is not understood: || is".to_owned(),
        "'not'" => "'not' is not understood: ! is".to_owned(),
        word if word != told => format!("{word} cannot stand here"),
        other => other.to_owned(),
    }
}
