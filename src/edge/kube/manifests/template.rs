//! As much of Helm's template language as our chart uses: `{{ }}` with paths, literals, pipes and a few functions; `if`,
//! `else`, `range`, `end`; `{{-` and `-}}` take the white space beside them away.

mod expression;
mod value;

use expression::Expression;
use serde_json::Value;

/// Why a template cannot be filled in.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`, an `if` without `end`, an unknown function: the chart is to blame.
    #[error("template: {0}")]
    Syntax(String),
    /// A value is to blame.
    #[error("{place}: must be {wanted}")]
    Value {
        /// The expression.
        place: String,
        /// What fits there.
        wanted: &'static str,
    },
}

/// What `.` and `$` stand for.
#[derive(Clone, Copy)]
struct Scope<'a> {
    root: &'a Value,
    dot: &'a Value,
}

/// A piece of a template.
enum Node<'a> {
    Text(&'a str),
    Print(Expression),
    If(Expression, Vec<Node<'a>>, Vec<Node<'a>>),
    Range(Expression, Vec<Node<'a>>),
}

/// Fills a template in.
///
/// # Errors
/// See [`TemplateError`].
pub(super) fn fill(template: &str, root: &Value) -> Result<String, TemplateError> {
    let mut pieces = pieces(template)?.into_iter();
    let (nodes, end) = nodes(&mut pieces)?;
    if end != Stop::Text {
        return Err(TemplateError::Syntax("end or else without if or range".to_owned()));
    }
    let mut filled = String::new();
    print(&nodes, Scope { root, dot: root }, &mut filled)?;
    Ok(filled)
}

fn print(nodes: &[Node<'_>], scope: Scope<'_>, filled: &mut String) -> Result<(), TemplateError> {
    for node in nodes {
        match node {
            Node::Text(text) => filled.push_str(text),
            Node::Print(expression) => filled.push_str(&value::shown(&expression.value(scope)?)),
            Node::If(condition, then, otherwise) => {
                let branch = if value::truth(&condition.value(scope)?) {
                    then
                } else {
                    otherwise
                };
                print(branch, scope, filled)?;
            }
            Node::Range(expression, body) => {
                for dot in expression.list(scope)? {
                    print(body, Scope { dot: &dot, ..scope }, filled)?;
                }
            }
        }
    }
    Ok(())
}

// === reading ===

/// Text, or what stands between `{{` and `}}`.
enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

/// What ended a list of nodes.
#[derive(PartialEq)]
enum Stop {
    Text,
    Else,
    End,
}

fn pieces(mut rest: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    while let Some((text, after)) = rest.split_once("{{") {
        let (action, after) = after
            .split_once("}}")
            .ok_or_else(|| TemplateError::Syntax("{{ without }}".to_owned()))?;
        let (text, action) = match action.strip_prefix('-') {
            Some(action) => (text.trim_end(), action),
            None => (text, action),
        };
        let (action, after) = match action.strip_suffix('-') {
            Some(action) => (action, after.trim_start()),
            None => (action, after),
        };
        pieces.extend([Piece::Text(text), Piece::Action(action.trim())]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn nodes<'a>(pieces: &mut std::vec::IntoIter<Piece<'a>>) -> Result<(Vec<Node<'a>>, Stop), TemplateError> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        match action.split_once(' ').unwrap_or((action, "")) {
            ("end", "") => return Ok((nodes, Stop::End)),
            ("else", "") => return Ok((nodes, Stop::Else)),
            ("if", condition) => {
                let condition = Expression::read(condition)?;
                let (then, end) = self::nodes(pieces)?;
                let (otherwise, end) = match end {
                    Stop::Else => self::nodes(pieces)?,
                    Stop::End | Stop::Text => (Vec::new(), end),
                };
                closed(&end, action)?;
                nodes.push(Node::If(condition, then, otherwise));
            }
            ("range", list) => {
                let list = Expression::read(list)?;
                let (body, end) = self::nodes(pieces)?;
                closed(&end, action)?;
                nodes.push(Node::Range(list, body));
            }
            _ => nodes.push(Node::Print(Expression::read(action)?)),
        }
    }
    Ok((nodes, Stop::Text))
}

fn closed(end: &Stop, action: &str) -> Result<(), TemplateError> {
    match end {
        Stop::End => Ok(()),
        Stop::Else | Stop::Text => Err(TemplateError::Syntax(format!("{{{{ {action} }}}} has no end"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(template: &str) -> String {
        let root = json!({
            "Values": {"name": "a.b", "on": true, "off": false, "none": [], "port": 9002, "map": {"x": [1, "y"]},
                "list": [{"name": "one"}, {"name": "two", "more": true}]},
            "Release": {"Namespace": "home"},
        });
        fill(template, &root).expect("it can be filled in")
    }

    fn refused(template: &str) -> TemplateError {
        fill(template, &json!({"Values": {"name": "x"}})).expect_err("it must be refused")
    }

    #[test]
    fn values_are_printed_as_helm_prints_them() {
        assert_eq!(filled("a: {{ .Values.name }}!"), "a: a.b!");
        assert_eq!(
            filled("{{ .Values.port }} {{ .Values.on }} {{ quote .Values.name }}"),
            r#"9002 true "a.b""#
        );
        assert_eq!(filled("{{ toJson .Values.map }}"), r#"{"x":[1,"y"]}"#);
        assert_eq!(filled(r#"{{ .Values.missing | default "z" }}"#), "z");
    }

    #[test]
    fn functions_take_their_last_argument_from_the_pipe() {
        assert_eq!(filled(r#"{{ .Values.name | replace "." "-" | quote }}"#), r#""a-b""#);
        assert_eq!(filled(r#"{{ join "," .Values.none | quote }}"#), r#""""#);
        assert_eq!(
            filled(r#"{{ if ne (default "q" .Values.missing) "q" }}a{{ else }}b{{ end }}"#),
            "b"
        );
    }

    #[test]
    fn white_space_beside_a_dash_goes_away() {
        assert_eq!(
            filled("a:\n  {{- if .Values.on }}\n  b: 1\n  {{- end }}\nc: 2\n"),
            "a:\n  b: 1\nc: 2\n"
        );
        assert_eq!(
            filled("a:\n  {{- if .Values.off }}\n  b: 1\n  {{- end }}\nc: 2\n"),
            "a:\nc: 2\n"
        );
    }

    #[test]
    fn a_range_moves_the_dot_and_the_dollar_stays() {
        let template =
            "{{- range .Values.list }}\n- {{ .name }}@{{ $.Release.Namespace }}{{ if .more }}+{{ end }}\n{{- end }}\n";
        assert_eq!(filled(template), "\n- one@home\n- two@home+\n");
        assert_eq!(filled("{{ range .Values.none }}x{{ end }}"), "");
        assert_eq!(
            filled("{{ range default (list \"\") .Values.none }}[{{ . }}]{{ end }}"),
            "[]"
        );
    }

    #[test]
    fn what_it_does_not_know_is_an_error() {
        for template in [
            "{{ .Values.name",
            "{{ if .a }}",
            "{{ end }}",
            "{{ nothing .a }}",
            "{{ else }}",
            "{{ \"a }}",
        ] {
            assert!(matches!(refused(template), TemplateError::Syntax(_)), "{template}");
        }
        assert!(matches!(
            refused("{{ range .Values.name }}{{ end }}"),
            TemplateError::Value { .. }
        ));
    }
}
