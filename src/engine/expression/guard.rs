//! Outside of which tools, methods and the like an expression is never true: read off the literals that it demands.
//!
//! Only what stands in a chain of `&&` counts: `tool.name == 'a' && ...`, `method in ['x', 'y'] && ...`. Where such a
//! literal does not fit, the whole is false whatever the rest says, or fails with (CEL: false wins over an error).

use super::check::{chain, text};
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, operators};
use std::sync::Arc;

/// What a literal is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `tool.name`
    Tool,
    /// `tool.upstream`
    Upstream,
    /// `method`
    Method,
    /// `prompt`
    Prompt,
    /// `resource.uri`
    Resource,
}

/// Each subject that an expression demands one of these values of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Literals(Vec<(Subject, Arc<[Box<str>]>)>);

impl Literals {
    pub(super) fn of(tree: &IdedExpr) -> Self {
        let mut found = Vec::new();
        gather(tree, &mut found);
        Self(found)
    }

    /// The values of which one is demanded; `None`: the expression demands none in particular.
    #[must_use]
    pub fn values(&self, subject: Subject) -> Option<&[Box<str>]> {
        let found = self.0.iter().find(|(own, _)| *own == subject);
        found.map(|(_, values)| &**values)
    }

    /// Every subject with its values; one may stand twice.
    pub fn iter(&self) -> impl Iterator<Item = (Subject, &[Box<str>])> {
        self.0.iter().map(|(subject, values)| (*subject, &**values))
    }
}

/// The expression without the literals that it demands: where all of these fit, it says the same. `None`: it is true then.
pub(super) fn rest(node: &IdedExpr) -> Option<IdedExpr> {
    let Expr::Call(call) = &node.expr else {
        return Some(node.clone());
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_AND, [left, right]) => match (rest(left), rest(right)) {
            (Some(left), Some(right)) => {
                let args = vec![left, right];
                let call = CallExpr { args, ..call.clone() };
                let expr = Expr::Call(call);
                Some(IdedExpr { id: node.id, expr })
            }
            (left, right) => left.or(right),
        },
        _ => {
            let mut found = Vec::new();
            gather(node, &mut found);
            found.is_empty().then(|| node.clone())
        }
    }
}

fn gather(node: &IdedExpr, found: &mut Vec<(Subject, Arc<[Box<str>]>)>) {
    let Expr::Call(CallExpr { func_name, args, .. }) = &node.expr else {
        return;
    };
    let [left, right] = args.as_slice() else { return };
    match func_name.as_str() {
        operators::LOGICAL_AND => {
            gather(left, found);
            gather(right, found);
        }
        operators::EQUALS => {
            let pair = |one, other| Some((subject(one)?, [text(other)?.into()].into()));
            found.extend(pair(left, right).or_else(|| pair(right, left)));
        }
        operators::IN => found.extend(subject(left).zip(texts(right))),
        _ => {}
    }
}

fn subject(node: &IdedExpr) -> Option<Subject> {
    if let Expr::Select(select) = &node.expr
        && select.test
    {
        return None;
    }
    let ((_, root), path) = chain(node)?;
    let path: Vec<&str> = path.iter().map(|(_, member)| *member).collect();
    match (root, path.as_slice()) {
        ("tool", ["name"]) => Some(Subject::Tool),
        ("tool", ["upstream"]) => Some(Subject::Upstream),
        ("method", []) => Some(Subject::Method),
        ("prompt", []) => Some(Subject::Prompt),
        ("resource", ["uri"]) => Some(Subject::Resource),
        _ => None,
    }
}

fn texts(node: &IdedExpr) -> Option<Arc<[Box<str>]>> {
    let Expr::List(list) = &node.expr else { return None };
    if !list.optional_indices.is_empty() {
        return None;
    }
    list.elements
        .iter()
        .map(|element| text(element).map(Into::into))
        .collect()
}
