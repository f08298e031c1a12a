//! Looks at a parsed expression before it is ever evaluated: unknown variables, members and functions are faults, and so
//! is what can be neither true nor false.

use super::reads::{Reads, Structure, Variable};
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};

/// The functions that there are, besides operators and the macros `has`, `all`, `exists`, `exists_one`, `map`, `filter`.
const FUNCTIONS: &[&str] = &[
    "contains",
    "endsWith",
    "startsWith",
    "size",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "of",
    "none",
    "ofNonZeroValue",
    "hasValue",
    "value",
    "or",
    "orValue",
    "optMap",
    "optFlatMap",
];
const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];
/// Names of types, for `type(x) == string`.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
    "optional",
];
/// Of these only a member is a variable.
const GROUPS: &[(&str, &[&str])] = &[
    ("tool", &["name", "upstream", "upstreamName", "annotations"]),
    ("resource", &["uri"]),
    ("client", &["name", "version", "ip"]),
];
const SINGLES: &[&str] = &[
    "method",
    "tool",
    "prompt",
    "resource",
    "arguments",
    "principal",
    "claims",
    "roles",
    "scopes",
    "client",
    "headers",
];

/// Something wrong at a node.
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) message: String,
}

/// Which variables the expression reads.
pub(super) fn check(tree: &IdedExpr) -> Result<Reads, Found> {
    let mut walk = Walk {
        reads: Reads::default(),
        locals: Vec::new(),
    };
    walk.visit(tree)?;
    match kind(tree) {
        Some(kind) => Err(found(tree, format!("is {kind}, not true or false"))),
        None => Ok(walk.reads),
    }
}

struct Walk<'e> {
    reads: Reads,
    /// Names that macros bind.
    locals: Vec<&'e str>,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, node: &'e IdedExpr) -> Result<(), Found> {
        if let Some((root, path)) = chain(node)
            && !self.is_local(root.1)
        {
            return self.name(root, &path);
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => Ok(()),
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.visit(&entry.key).and_then(|()| self.visit(&entry.value)),
                EntryExpr::StructField(field) => self.visit(&field.value),
            }),
            Expr::Select(select) => self.visit(&select.operand),
            Expr::Struct(_) => Err(found(node, "there are no types to be made here".to_owned())),
        }
    }

    fn is_local(&self, name: &str) -> bool {
        name.starts_with('@') || self.locals.contains(&name)
    }

    /// A name, and the members that are selected of it.
    fn name(&mut self, (id, root): (u64, &str), path: &[(u64, &str)]) -> Result<(), Found> {
        if let Some((_, members)) = GROUPS.iter().find(|(group, _)| *group == root) {
            return self.member(root, members, path);
        }
        let Some(variable) = Variable::parse(root) else {
            if TYPES.contains(&root) {
                return Ok(());
            }
            let message = unknown("variable", root, SINGLES);
            return Err(Found { id, message });
        };
        match (variable, path.first()) {
            (Variable::Text(_), Some((id, member))) => Err(Found {
                id: *id,
                message: format!("{root} is a text and has no member {member}"),
            }),
            (Variable::Text(_) | Variable::Structure(_), first) => {
                self.reads.add(variable, first.map(|(_, member)| *member));
                Ok(())
            }
        }
    }

    fn member(&mut self, group: &str, members: &[&str], path: &[(u64, &str)]) -> Result<(), Found> {
        let Some((id, member)) = path.first() else {
            // All of it, as a map.
            for member in members {
                self.reads.variables_of(group, member);
            }
            return Ok(());
        };
        if !members.contains(member) {
            let message = unknown(&format!("member of {group}:"), member, members);
            return Err(Found { id: *id, message });
        }
        self.reads.variables_of(group, member);
        Ok(())
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr) -> Result<(), Found> {
        let name = call.func_name.as_str();
        if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
            return Err(found(node, unknown("function", name, FUNCTIONS)));
        }
        self.header(name, &call.args)?;
        if name == operators::INDEX
            && let [of, index] = call.args.as_slice()
            && let (Expr::Ident(root), Some(member)) = (&of.expr, text(index))
            && root == "claims"
            && !self.is_local(root)
        {
            self.reads.add(Structure::Claims.into(), Some(member));
            return Ok(());
        }
        if let Some(target) = &call.target {
            self.visit(target)?;
        }
        call.args.iter().try_for_each(|argument| self.visit(argument))
    }

    /// `headers['X-Team']` and `'X-Team' in headers` would never find what they name.
    fn header(&self, operator: &str, arguments: &[IdedExpr]) -> Result<(), Found> {
        let (of, name) = match (operator, arguments) {
            (operators::INDEX, [of, name]) | (operators::IN, [name, of]) => (of, name),
            _ => return Ok(()),
        };
        let headers = matches!(&of.expr, Expr::Ident(root) if root == "headers" && !self.is_local(root));
        match text(name).filter(|text| headers && text.contains(char::is_uppercase)) {
            Some(text) => Err(found(
                name,
                format!("names of headers are in lower case: {:?}", text.to_lowercase()),
            )),
            None => Ok(()),
        }
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Result<(), Found> {
        self.visit(&comprehension.iter_range)?;
        self.visit(&comprehension.accu_init)?;
        let before = self.locals.len();
        self.locals.push(&comprehension.iter_var);
        self.locals.extend(comprehension.iter_var2.as_deref());
        self.locals.push(&comprehension.accu_var);
        let inner = [
            &comprehension.loop_cond,
            &comprehension.loop_step,
            &comprehension.result,
        ];
        inner.into_iter().try_for_each(|node| self.visit(node))?;
        self.locals.truncate(before);
        Ok(())
    }
}

impl Reads {
    fn variables_of(&mut self, group: &str, member: &str) {
        if let Some(variable) = Variable::parse(&format!("{group}.{member}")) {
            self.add(variable, None);
        }
    }
}

/// A name and the members selected of it, each with its node; `None`: something else.
#[expect(clippy::type_complexity, reason = "a node and its text, twice")]
pub(super) fn chain(node: &IdedExpr) -> Option<((u64, &str), Vec<(u64, &str)>)> {
    let mut path = Vec::new();
    let mut node = node;
    loop {
        match &node.expr {
            Expr::Ident(name) => {
                path.reverse();
                return Some(((node.id, name), path));
            }
            Expr::Select(SelectExpr { operand, field, .. }) => {
                path.push((node.id, field.as_str()));
                node = operand;
            }
            Expr::Unspecified
            | Expr::Call(_)
            | Expr::Comprehension(_)
            | Expr::List(_)
            | Expr::Literal(_)
            | Expr::Map(_)
            | Expr::Struct(_) => return None,
        }
    }
}

/// A literal text.
pub(super) fn text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        Expr::Literal(_)
        | Expr::Unspecified
        | Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::Ident(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Select(_)
        | Expr::Struct(_) => None,
    }
}

/// What an expression surely yields, if that is neither true nor false.
fn kind(node: &IdedExpr) -> Option<&'static str> {
    match &node.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => None,
        Expr::Literal(LiteralValue::String(_)) => Some("a text"),
        Expr::Literal(_) => Some("a value"),
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Ident(_) | Expr::Select(SelectExpr { test: false, .. }) => {
            let (root, path) = chain(node)?;
            let first = path.first().map_or(String::new(), |(_, member)| format!(".{member}"));
            let variable = Variable::parse(&format!("{}{first}", root.1)).or_else(|| Variable::parse(root.1))?;
            match (variable, path.len()) {
                (Variable::Text(_), _) => Some("a text"),
                (Variable::Structure(Structure::Roles | Structure::Scopes), _) => Some("a list"),
                (Variable::Structure(_), 0) => Some("a map"),
                (Variable::Structure(_), _) => None,
            }
        }
        Expr::Call(call) => match call.func_name.as_str() {
            operators::ADD
            | operators::SUBSTRACT
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | operators::NEGATE
            | "size" => Some("a value"),
            "string" => Some("a text"),
            _ => None,
        },
        Expr::Select(_) | Expr::Unspecified | Expr::Comprehension(_) | Expr::Struct(_) => None,
    }
}

fn found(node: &IdedExpr, message: String) -> Found {
    Found { id: node.id, message }
}

/// `unknown variable "tol": did you mean "tool"?`
fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let distance = |known: &&&str| strsim::damerau_levenshtein(name, known);
    match known.iter().min_by_key(distance) {
        Some(near) if strsim::damerau_levenshtein(name, near) <= 2 => {
            format!("unknown {what} {name:?}: did you mean {near:?}?")
        }
        Some(_) | None => format!("unknown {what} {name:?}: there are {}", known.join(", ")),
    }
}
