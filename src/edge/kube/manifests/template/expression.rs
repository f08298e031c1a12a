//! What stands between `{{` and `}}`: a path, a literal, a function with arguments; the result of one may be piped into
//! the next as its last argument.

use super::value::{shown, truth};
use super::{Scope, TemplateError};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::iter::Peekable;
use std::str::Chars;

/// An expression, and how it was written.
pub(super) struct Expression {
    source: String,
    term: Term,
}

enum Term {
    /// Keys below `.` or, with a dollar, below `$`.
    Path {
        from_root: bool,
        keys: Vec<String>,
    },
    Literal(Value),
    Call(String, Vec<Term>),
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Pipe,
}

type Tokens = Peekable<std::vec::IntoIter<Token>>;

impl Expression {
    pub(super) fn read(source: &str) -> Result<Self, TemplateError> {
        let mut tokens = tokens(source)?.into_iter().peekable();
        let term = pipeline(&mut tokens)?;
        match tokens.next() {
            None => Ok(Self {
                source: source.to_owned(),
                term,
            }),
            Some(_) => Err(syntax(source)),
        }
    }

    pub(super) fn value(&self, scope: Scope<'_>) -> Result<Value, TemplateError> {
        self.term.value(scope).map_err(|fault| self.error(fault))
    }

    /// The elements of a list; none where there is nothing.
    pub(super) fn list(&self, scope: Scope<'_>) -> Result<Vec<Value>, TemplateError> {
        match self.value(scope)? {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => Ok(list),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err(self.error(Fault::Wanted("a list")))
            }
        }
    }

    fn error(&self, fault: Fault) -> TemplateError {
        match fault {
            Fault::Wanted(wanted) => TemplateError::Value {
                place: self.source.clone(),
                wanted,
            },
            Fault::Function(name) => TemplateError::Syntax(format!("{name} does not go so: {}", self.source)),
        }
    }
}

enum Fault {
    Wanted(&'static str),
    Function(String),
}

impl Term {
    fn value(&self, scope: Scope<'_>) -> Result<Value, Fault> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Path { from_root, keys } => {
                let from = if *from_root { scope.root } else { scope.dot };
                let found = keys.iter().try_fold(from, |value, key| value.get(key));
                Ok(found.cloned().unwrap_or_default())
            }
            Self::Call(name, arguments) => {
                let arguments: Vec<Value> = arguments
                    .iter()
                    .map(|argument| argument.value(scope))
                    .collect::<Result<_, _>>()?;
                call(name, &arguments)
            }
        }
    }
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, Fault> {
    let text = |value: &Value| match value {
        Value::Array(_) | Value::Object(_) => Err(Fault::Wanted("text or a number")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(shown(value)),
    };
    Ok(match (name, arguments) {
        ("quote", [value]) => Value::from(text(value)?).to_string().into(),
        ("toJson", [value]) => value.to_string().into(),
        ("default", [otherwise, value]) => if truth(value) { value } else { otherwise }.clone(),
        ("replace", [from, to, value]) => text(value)?.replace(&text(from)?, &text(to)?).into(),
        ("trunc", [Value::Number(longest), value]) => {
            let longest = longest
                .as_u64()
                .and_then(|longest| usize::try_from(longest).ok())
                .unwrap_or_default();
            text(value)?.chars().take(longest).collect::<String>().into()
        }
        ("trimSuffix", [end, value]) => {
            let (value, end) = (text(value)?, text(end)?);
            value.strip_suffix(&end).unwrap_or(&value).into()
        }
        ("sha256sum", [value]) => {
            let hash = Sha256::digest(text(value)?.as_bytes());
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        ("printf", [Value::String(format), values @ ..]) => printf(format, values)?.into(),
        ("join", [between, Value::Array(list)]) => {
            let words: Vec<String> = list.iter().map(text).collect::<Result<_, _>>()?;
            words.join(&text(between)?).into()
        }
        ("join", [_, _]) => return Err(Fault::Wanted("a list")),
        ("list", values) => values.to_vec().into(),
        ("eq", [one, other]) => (one == other).into(),
        ("ne", [one, other]) => (one != other).into(),
        ("not", [value]) => (!truth(value)).into(),
        ("or", values) => values
            .iter()
            .find(|value| truth(value))
            .or(values.last())
            .cloned()
            .unwrap_or_default(),
        _ => return Err(Fault::Function(name.to_owned())),
    })
}

/// Each `%s` is the next value. The chart needs no other directive.
fn printf(format: &str, values: &[Value]) -> Result<String, Fault> {
    let mut pieces = format.split("%s");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for piece in pieces {
        let value = values.next().ok_or_else(|| Fault::Function("printf".to_owned()))?;
        text.push_str(&shown(value));
        text.push_str(piece);
    }
    match values.next() {
        None => Ok(text),
        Some(_) => Err(Fault::Function("printf".to_owned())),
    }
}

// === reading ===

fn syntax(source: &str) -> TemplateError {
    TemplateError::Syntax(format!("not understood: {source}"))
}

fn pipeline(tokens: &mut Tokens) -> Result<Term, TemplateError> {
    let mut term = command(tokens, None)?;
    while tokens.next_if_eq(&Token::Pipe).is_some() {
        term = command(tokens, Some(term))?;
    }
    Ok(term)
}

/// A function with its arguments, or a term alone. `piped` is the last argument.
fn command(tokens: &mut Tokens, piped: Option<Term>) -> Result<Term, TemplateError> {
    let function = match tokens.peek() {
        Some(Token::Word(word)) if word.starts_with(|first: char| first.is_ascii_lowercase()) => word.clone(),
        Some(_) if piped.is_none() => return term(tokens),
        Some(_) | None => return Err(syntax("a function is missing")),
    };
    tokens.next();
    let mut arguments = Vec::new();
    while !matches!(tokens.peek(), None | Some(Token::Close | Token::Pipe)) {
        arguments.push(term(tokens)?);
    }
    arguments.extend(piped);
    Ok(Term::Call(function, arguments))
}

fn term(tokens: &mut Tokens) -> Result<Term, TemplateError> {
    match tokens.next() {
        Some(Token::Text(text)) => Ok(Term::Literal(text.into())),
        Some(Token::Open) => {
            let inner = pipeline(tokens)?;
            match tokens.next() {
                Some(Token::Close) => Ok(inner),
                _ => Err(syntax("( without )")),
            }
        }
        Some(Token::Word(word)) => word_term(&word),
        Some(Token::Close | Token::Pipe) | None => Err(syntax("something is missing")),
    }
}

fn word_term(word: &str) -> Result<Term, TemplateError> {
    if let Ok(number) = word.parse::<i64>() {
        return Ok(Term::Literal(number.into()));
    }
    let (from_root, path) = match word.strip_prefix('$') {
        Some(path) => (true, path),
        None => (false, word),
    };
    let path = path.strip_prefix('.').ok_or_else(|| syntax(word))?;
    let keys = path.split('.').filter(|key| !key.is_empty());
    Ok(Term::Path {
        from_root,
        keys: keys.map(str::to_owned).collect(),
    })
}

fn tokens(source: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = source.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            ' ' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '|' => tokens.push(Token::Pipe),
            '"' => tokens.push(Token::Text(text(&mut rest).ok_or_else(|| syntax(source))?)),
            _ => {
                let mut word = String::from(first);
                while let Some(next) = rest.next_if(|next| !" ()|\"".contains(*next)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    if tokens.is_empty() {
        return Err(syntax("nothing between {{ and }}"));
    }
    Ok(tokens)
}

/// Up to the closing quote. The chart needs no escapes.
fn text(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            next => text.push(next),
        }
    }
}
