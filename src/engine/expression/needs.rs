//! Without which things an expression is never true: what there is none of, it says nothing about.

use super::check::chain;
use super::{Expression, Structure, Text, Variable};
use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

/// Whether sides are looked at as they stand, or under a `!`: that of an `&&` is an `||`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Straight,
    Inverse,
}

impl Sense {
    const fn other(self) -> Self {
        match self {
            Self::Straight => Self::Inverse,
            Self::Inverse => Self::Straight,
        }
    }
}

impl Expression {
    /// The variables of a tool, a prompt, a resource or arguments without which it is never true.
    #[must_use]
    pub fn needs(&self) -> Vec<Variable> {
        needs(&self.tree, Sense::Straight)
    }

    /// What it says of every request, if it says so itself: `true`, `false`.
    #[must_use]
    pub fn constant(&self) -> Option<bool> {
        let Expr::Literal(LiteralValue::Boolean(value)) = &self.tree.expr else {
            return None;
        };
        Some(*value.inner())
    }
}

fn needs(node: &IdedExpr, sense: Sense) -> Vec<Variable> {
    let Expr::Call(call) = &node.expr else {
        return parts(node);
    };
    match (call.func_name.as_str(), call.args.as_slice(), sense) {
        (operators::LOGICAL_NOT, [side], _) => needs(side, sense.other()),
        (operators::LOGICAL_AND, [one, other], Sense::Straight)
        | (operators::LOGICAL_OR, [one, other], Sense::Inverse) => {
            let mut both = needs(one, sense);
            both.extend(needs(other, sense));
            both
        }
        (operators::LOGICAL_OR, [one, other], Sense::Straight)
        | (operators::LOGICAL_AND, [one, other], Sense::Inverse) => common(needs(one, sense), &needs(other, sense)),
        (operators::CONDITIONAL, [condition, one, other], _) => {
            let mut all = anyway(condition);
            all.extend(common(needs(one, sense), &needs(other, sense)));
            all
        }
        _ => parts(node),
    }
}

/// Whatever the part says.
fn anyway(node: &IdedExpr) -> Vec<Variable> {
    common(needs(node, Sense::Straight), &needs(node, Sense::Inverse))
}

fn common(mut one: Vec<Variable>, other: &[Variable]) -> Vec<Variable> {
    one.retain(|variable| other.contains(variable));
    one
}

/// Of everything that is evaluated whatever comes of it.
fn parts(node: &IdedExpr) -> Vec<Variable> {
    if let Some(((_, root), path)) = chain(node) {
        let first = path.first().map(|(_, member)| format!("{root}.{member}"));
        let variable = first
            .and_then(|name| Variable::parse(&name))
            .or_else(|| Variable::parse(root));
        let mut needed: Vec<Variable> = variable.into_iter().filter(|variable| is_of_item(*variable)).collect();
        // Where there is a tool there is its upstream; tasks have the upstream alone.
        needed.extend(
            needed
                .first()
                .copied()
                .filter(|variable| is_of_tool(*variable))
                .map(|_| UPSTREAM),
        );
        return needed;
    }
    match &node.expr {
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .flat_map(anyway)
            .collect(),
        Expr::List(list) => list.elements.iter().flat_map(anyway).collect(),
        // The body of a macro is left out where there is nothing to go through.
        Expr::Comprehension(comprehension) => anyway(&comprehension.iter_range),
        Expr::Select(select) => anyway(&select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Vec::new(),
    }
}

const UPSTREAM: Variable = Variable::Text(Text::ToolUpstream);

fn is_of_tool(variable: Variable) -> bool {
    let tool = [
        Variable::Text(Text::ToolName),
        Variable::Text(Text::ToolUpstreamName),
        Variable::Structure(Structure::ToolAnnotations),
    ];
    tool.contains(&variable)
}

/// There is none of it in some requests.
const fn is_of_item(variable: Variable) -> bool {
    match variable {
        Variable::Text(
            Text::ToolName | Text::ToolUpstream | Text::ToolUpstreamName | Text::Prompt | Text::ResourceUri,
        )
        | Variable::Structure(Structure::ToolAnnotations | Structure::Arguments) => true,
        Variable::Text(Text::Method | Text::Principal | Text::ClientName | Text::ClientVersion | Text::ClientIp)
        | Variable::Structure(Structure::Claims | Structure::Roles | Structure::Scopes | Structure::Headers) => false,
    }
}
