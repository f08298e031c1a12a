//! From text to a checked expression; what is wrong with it is told with line and column.

use super::check::{Found, check};
use super::guard::{Literals, rest};
use super::{Expression, evaluate};
use cel::common::ast::SourceInfo;
use std::sync::Arc;

/// Longer expressions are refused: nobody could review them.
const MAX_TEXT: usize = 16 * 1024;
/// Deeper ones are refused.
const MAX_DEPTH: u16 = 64;

/// What is wrong with an expression, and where. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
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
    /// The first fault of syntax, or every fault of meaning, in the order of the text.
    pub fn compile(text: &str) -> Result<Self, Vec<Fault>> {
        if text.len() > MAX_TEXT {
            return Err(vec![Fault::at(text, 0, format!("longer than {MAX_TEXT} bytes"))]);
        }
        let parser = evaluate::environment().parser().max_recursion_depth(MAX_DEPTH);
        let (tree, source) = parser
            .parse_with_source_info(text)
            .map_err(|errors| vec![syntax(text, &errors)])?;
        let reads = check(&tree).map_err(|found| faults(text, &source, found))?;
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
        Self::at(text, named(text, start), message)
    }

    /// At this many characters from the start.
    fn at(text: &str, start: usize, message: String) -> Self {
        let before: String = text.chars().take(start).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, message }
    }
}

fn faults(text: &str, source: &SourceInfo, found: Vec<Found>) -> Vec<Fault> {
    let fault = |found: Found| Fault::of(text, source, found.id, found.message);
    let mut faults: Vec<Fault> = found.into_iter().map(fault).collect();
    faults.sort();
    // Macros repeat what they are about.
    faults.dedup();
    faults
}

/// Where the name stands that a node is about, in characters: the parser gives a member the place of its dot, and a
/// call that of its parenthesis.
fn named(text: &str, start: usize) -> usize {
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let characters: Vec<char> = text.chars().collect();
    let before = characters.get(..start).unwrap_or_default();
    let gap = |characters: &mut dyn Iterator<Item = &char>| characters.take_while(|c| c.is_whitespace()).count();
    match characters.get(start) {
        Some('.') => {
            let mut rest = characters.iter().skip(start + 1);
            start + 1 + gap(&mut rest)
        }
        Some('(') => {
            let space = gap(&mut before.iter().rev());
            let name = before.iter().rev().skip(space).take_while(|c| is_name(c)).count();
            if name == 0 { start } else { start - space - name }
        }
        Some(_) | None => start,
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
