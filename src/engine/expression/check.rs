//! Looks at a parsed expression before it is ever evaluated: unknown variables, members and functions are faults, and so
//! is what can never be evaluated, or be neither true nor false.

use super::kinds::{self, Inside, Kind, Part};
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
///
/// # Errors
/// Everything that is wrong with it, as it is come upon.
pub(super) fn check(tree: &IdedExpr) -> Result<Reads, Vec<Found>> {
    let mut walk = Walk {
        reads: Reads::default(),
        locals: Vec::new(),
        found: Vec::new(),
    };
    let kind = walk.visit(tree);
    if let (true, Some(message)) = (walk.found.is_empty(), kind.not_bool()) {
        walk.add(place(tree), message);
    }
    if walk.found.is_empty() {
        Ok(walk.reads)
    } else {
        Err(walk.found)
    }
}

struct Walk<'e> {
    reads: Reads,
    /// Names that macros bind.
    locals: Vec<&'e str>,
    found: Vec<Found>,
}

impl<'e> Walk<'e> {
    fn add(&mut self, id: u64, message: impl Into<String>) {
        let message = message.into();
        self.found.push(Found { id, message });
    }

    fn visit(&mut self, node: &'e IdedExpr) -> Kind {
        if let Some((root, path)) = chain(node)
            && !self.is_local(root.1)
        {
            let kind = self.name(root, &path);
            return if is_test(node) { Kind::Bool } else { kind };
        }
        match &node.expr {
            Expr::Unspecified | Expr::Ident(_) => Kind::Any,
            Expr::Literal(literal) => Kind::of_literal(literal),
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let kinds: Vec<Kind> = list.elements.iter().map(|element| self.visit(element)).collect();
                Kind::list_of(&kinds)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&entry.key);
                            self.visit(&entry.value);
                        }
                        EntryExpr::StructField(field) => {
                            self.visit(&field.value);
                        }
                    }
                }
                Kind::Any
            }
            Expr::Select(select) => {
                let of = self.visit(&select.operand);
                if of.member().is_none() {
                    self.add(node.id, format!("{} has no member {}", of.word(), select.field));
                }
                let member = of.member().unwrap_or(Kind::Any);
                if select.test { Kind::Bool } else { member }
            }
            Expr::Struct(_) => {
                self.add(node.id, "there are no types to be made here");
                Kind::Any
            }
        }
    }

    fn is_local(&self, name: &str) -> bool {
        name.starts_with('@') || self.locals.contains(&name)
    }

    /// A name, and the members that are selected of it.
    fn name(&mut self, (id, root): (u64, &str), path: &[(u64, &str)]) -> Kind {
        if let Some((_, members)) = GROUPS.iter().find(|(group, _)| *group == root) {
            return self.member(root, members, path);
        }
        let Some(variable) = Variable::parse(root) else {
            if !TYPES.contains(&root) {
                self.add(id, unknown("variable", root, SINGLES));
            }
            return Kind::Any;
        };
        let first = path.first().map(|(_, member)| *member);
        self.reads.add(variable, first);
        if let (Variable::Structure(Structure::Headers), Some((id, name))) = (variable, path.first())
            && let Some(message) = upper_case(name)
        {
            self.add(*id, message);
        }
        self.descend(root, variable, path)
    }

    fn member(&mut self, group: &str, members: &[&str], path: &[(u64, &str)]) -> Kind {
        let Some(((id, member), deeper)) = path.split_first() else {
            // All of it, as a map.
            for member in members {
                self.reads.variables_of(group, member);
            }
            return Kind::Map(Inside::Any);
        };
        let name = format!("{group}.{member}");
        let Some(variable) = Variable::parse(&name) else {
            self.add(*id, unknown(&format!("member of {group}:"), member, members));
            return Kind::Any;
        };
        self.reads.add(variable, None);
        self.descend(&name, variable, deeper)
    }

    /// What the members `path` of a variable lead to.
    fn descend(&mut self, name: &str, variable: Variable, path: &[(u64, &str)]) -> Kind {
        let mut kind = kind_of(variable);
        for (id, member) in path {
            let Some(next) = kind.member() else {
                let hint = if let Kind::List(_) = kind {
                    format!(": {member:?} in {name} asks for one")
                } else {
                    String::new()
                };
                self.add(
                    *id,
                    format!("{name} is {} and has no member {member}{hint}", kind.word()),
                );
                return Kind::Any;
            };
            kind = next;
        }
        kind
    }

    fn call(&mut self, node: &'e IdedExpr, call: &'e CallExpr) -> Kind {
        let name = call.func_name.as_str();
        let is_known = OPERATORS.contains(&name) || FUNCTIONS.contains(&name);
        if !is_known {
            self.add(node.id, unknown("function", name, FUNCTIONS));
        }
        self.header(name, &call.args);
        if name == operators::INDEX
            && let [of, index] = call.args.as_slice()
            && let (Expr::Ident(root), Some(member)) = (&of.expr, text(index))
            && root == "claims"
            && !self.is_local(root)
        {
            self.reads.add(Structure::Claims.into(), Some(member));
            return Kind::Any;
        }
        let before = self.found.len();
        let target = call.target.as_deref().map(|target| self.visit(target));
        let kinds: Vec<Kind> = call.args.iter().map(|argument| self.visit(argument)).collect();
        let (kind, misfit) = kinds::of_call(name, target, &kinds);
        // What is wrong below is said there.
        if let (Some((part, message)), true, true) = (misfit, is_known, before == self.found.len()) {
            let at = match part {
                Part::Whole => None,
                Part::Target => call.target.as_deref(),
                Part::Argument(at) => call.args.get(at),
            };
            self.add(at.map_or(node.id, place), message);
        }
        kind
    }

    /// `headers['X-Team']` and `'X-Team' in headers` would never find what they name.
    fn header(&mut self, operator: &str, arguments: &[IdedExpr]) {
        let (of, name) = match (operator, arguments) {
            (operators::INDEX, [of, name]) | (operators::IN, [name, of]) => (of, name),
            _ => return,
        };
        let headers = matches!(&of.expr, Expr::Ident(root) if root == "headers" && !self.is_local(root));
        if let Some(message) = text(name).filter(|_| headers).and_then(upper_case) {
            self.add(name.id, message);
        }
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Kind {
        let range = self.visit(&comprehension.iter_range);
        if let Kind::Text | Kind::Number | Kind::Bool | Kind::Null = range {
            let message = format!("is {}, not a list or a map", range.word());
            self.add(place(&comprehension.iter_range), message);
        }
        let gathered = self.visit(&comprehension.accu_init);
        let before = self.locals.len();
        self.locals.push(&comprehension.iter_var);
        self.locals.extend(comprehension.iter_var2.as_deref());
        self.locals.push(&comprehension.accu_var);
        self.visit(&comprehension.loop_cond);
        self.visit(&comprehension.loop_step);
        let yields = self.visit(&comprehension.result);
        self.locals.truncate(before);
        // `map`, `filter`, `exists` and `all` yield what they have gathered.
        let yields_gathered =
            matches!(&comprehension.result.expr, Expr::Ident(name) if *name == comprehension.accu_var);
        if yields_gathered { gathered } else { yields }
    }
}

const fn kind_of(variable: Variable) -> Kind {
    match variable {
        Variable::Text(_) => Kind::Text,
        Variable::Structure(Structure::Roles | Structure::Scopes) => Kind::List(Inside::Texts),
        Variable::Structure(Structure::Headers) => Kind::Map(Inside::Texts),
        Variable::Structure(Structure::Claims | Structure::ToolAnnotations | Structure::Arguments) => {
            Kind::Map(Inside::Any)
        }
    }
}

/// `has(...)`
fn is_test(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Select(SelectExpr { test: true, .. }))
}

/// Where a part begins.
fn place(node: &IdedExpr) -> u64 {
    chain(node).map_or(node.id, |((id, _), _)| id)
}

/// Such a header would never be found.
fn upper_case(name: &str) -> Option<String> {
    let has_upper = name.contains(char::is_uppercase);
    has_upper.then(|| format!("names of headers are in lower case: {:?}", name.to_lowercase()))
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
