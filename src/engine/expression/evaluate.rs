//! Evaluates an expression over facts that are turned into values only when they are asked for.

use super::Expression;
use super::reads::{Structure, Text, Variable};
use super::tree::{Owned, Tree};
use cel::common::ast::{Expr, operators};
use cel::common::types::{CelBool, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, IdedExpr, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

/// The functions and macros of CEL's standard library.
pub(super) fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
    &ENVIRONMENT
}

/// What is known of one request.
pub trait Facts: Send + Sync {
    /// The value of a variable that is a text; `None`: there is no such thing here.
    fn text(&self, variable: Text) -> Option<&str>;

    /// The value of one that is not; `None`: there is no such thing here, or it cannot be read. Asked at most once for each
    /// [`Memo`].
    fn tree(&self, variable: Structure) -> Option<Tree>;

    /// One member of it, where that costs less than all of it.
    fn member(&self, variable: Structure, name: &str) -> Option<Tree>;
}

/// What an expression says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is about a tool, a prompt, a resource or arguments, and there are none.
    Absent,
    /// It cannot be told: a member that is not there, types that do not compare, no boolean.
    Failed,
}

/// Facts with the values that were made of them; good for any number of expressions about one request.
pub struct Memo<'a> {
    facts: &'a dyn Facts,
    arguments: OnceLock<Option<Tree>>,
    annotations: OnceLock<Option<Tree>>,
    claims: OnceLock<Option<Tree>>,
    roles: OnceLock<Option<Tree>>,
    scopes: OnceLock<Option<Tree>>,
    headers: OnceLock<Option<Tree>>,
    /// Something that is not there was asked for.
    absent: AtomicBool,
}

/// What expressions are evaluated in; made once for all that are about one request.
pub struct Inquiry<'a> {
    memo: &'a Memo<'a>,
    context: Context<'a, 'a>,
}

impl<'a> Memo<'a> {
    /// Nothing was asked for yet.
    #[must_use]
    pub fn new(facts: &'a dyn Facts) -> Self {
        Self {
            facts,
            arguments: OnceLock::new(),
            annotations: OnceLock::new(),
            claims: OnceLock::new(),
            roles: OnceLock::new(),
            scopes: OnceLock::new(),
            headers: OnceLock::new(),
            absent: AtomicBool::new(false),
        }
    }

    /// Ready for expressions.
    #[must_use]
    pub fn inquiry(&self) -> Inquiry<'_> {
        let mut context = Context::with_env(Arc::clone(environment()));
        context.set_variable_resolver(self);
        Inquiry { memo: self, context }
    }

    fn text(&self, variable: Text) -> Option<CowVal<'_, '_>> {
        let text = self.facts.text(variable);
        if text.is_none() {
            self.absent.store(true, Ordering::Relaxed);
        }
        text.map(|text| CowVal::owned(CelString::from(text)))
    }

    fn tree(&self, variable: Structure) -> Option<CowVal<'_, '_>> {
        let cell = match variable {
            Structure::Arguments => &self.arguments,
            Structure::ToolAnnotations => &self.annotations,
            Structure::Claims => &self.claims,
            Structure::Roles => &self.roles,
            Structure::Scopes => &self.scopes,
            Structure::Headers => &self.headers,
        };
        match cell.get_or_init(|| self.facts.tree(variable)) {
            Some(tree) => Some(CowVal::Borrowed(tree.0.as_ref())),
            None => {
                self.absent.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    fn member(&self, of: Structure, name: &str) -> Option<CowVal<'_, '_>> {
        let tree = (!name.contains('.')).then(|| self.facts.member(of, name))?;
        tree.map(|tree| CowVal::Owned(tree.0))
    }

    /// All members of a group, as a map. Rare: expressions name one member.
    fn group(&self, group: &str) -> Option<CowVal<'_, '_>> {
        let members = Variable::ALL.into_iter().filter_map(|variable| {
            let member = variable.as_str().strip_prefix(group)?.strip_prefix('.')?;
            let value: Owned = match variable {
                Variable::Text(text) => super::tree::text(self.facts.text(text)?.to_owned()),
                Variable::Structure(structure) => self.facts.tree(structure)?.0,
            };
            Some((CelMapKey::from(member.to_owned()), value))
        });
        let members: HashMap<CelMapKey<'static>, Owned> = members.collect();
        if members.is_empty() {
            self.absent.store(true, Ordering::Relaxed);
            return None;
        }
        Some(CowVal::owned(CelMap::from(members)))
    }
}

impl VariableResolver for Memo<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match Variable::parse(name) {
            Some(Variable::Text(text)) => return self.text(text),
            Some(Variable::Structure(structure)) => return self.tree(structure),
            None => {}
        }
        // CEL asks for the longest name first: `claims.team` before `claims`.
        match name.split_once('.') {
            None if matches!(name, "tool" | "resource" | "client") => self.group(name),
            Some(("claims", member)) => self.member(Structure::Claims, member),
            Some(("headers", member)) => self.member(Structure::Headers, member),
            Some(_) | None => None,
        }
    }
}

impl Outcome {
    const fn inverse(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Absent => Self::Absent,
            Self::Failed => Self::Failed,
        }
    }
}

impl Expression {
    /// What it says of these facts.
    #[must_use]
    pub fn evaluate(&self, inquiry: &Inquiry<'_>) -> Outcome {
        inquiry.ask(&self.tree)
    }

    /// The same of facts that its [`Self::literals`] are known to fit.
    #[must_use]
    pub fn evaluate_rest(&self, inquiry: &Inquiry<'_>) -> Outcome {
        self.rest.as_ref().map_or(Outcome::True, |rest| inquiry.ask(rest))
    }
}

impl Inquiry<'_> {
    fn ask(&self, tree: &IdedExpr) -> Outcome {
        match self.resolve(tree) {
            Outcome::Absent => self.weigh(tree),
            outcome @ (Outcome::True | Outcome::False | Outcome::Failed) => outcome,
        }
    }

    /// Something that is not there was asked for, and perhaps something else has failed, too: an `&&` is about all of its
    /// sides, so it says nothing where one of them does; of an `||` every side stands for itself, so one that fails counts.
    fn weigh(&self, tree: &IdedExpr) -> Outcome {
        let Expr::Call(call) = &tree.expr else {
            return self.resolve(tree);
        };
        let order = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_OR, [_, _]) => [Outcome::True, Outcome::Failed, Outcome::Absent],
            (operators::LOGICAL_AND, [_, _]) => [Outcome::False, Outcome::Absent, Outcome::Failed],
            (operators::LOGICAL_NOT, [side]) => return self.weigh(side).inverse(),
            (operators::CONDITIONAL, [condition, one, other]) => {
                return match self.weigh(condition) {
                    Outcome::True => self.weigh(one),
                    Outcome::False => self.weigh(other),
                    outcome @ (Outcome::Absent | Outcome::Failed) => outcome,
                };
            }
            _ => return self.resolve(tree),
        };
        let sides: Vec<Outcome> = call.args.iter().map(|side| self.weigh(side)).collect();
        // Where none of these is among them, all sides say the same.
        let first = order.into_iter().find(|outcome| sides.contains(outcome));
        first.or(sides.first().copied()).unwrap_or(Outcome::Failed)
    }

    fn resolve(&self, tree: &IdedExpr) -> Outcome {
        let memo = self.memo;
        memo.absent.store(false, Ordering::Relaxed);
        let outcome = Value::resolve_val(tree, &self.context);
        let is_true = outcome.as_ref().ok().and_then(|value| {
            let value: &dyn Val = value.as_ref();
            value.downcast_ref::<CelBool>().map(|value| *value.inner())
        });
        match is_true {
            Some(true) => Outcome::True,
            Some(false) => Outcome::False,
            None if memo.absent.load(Ordering::Relaxed) => Outcome::Absent,
            None => Outcome::Failed,
        }
    }
}
