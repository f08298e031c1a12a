//! One policy: what it says of a request, and of an item in a list. Pure.
//!
//! ```text
//! rules in order --> the first that matches decides          a call
//!               `--> the same without rules that read
//!                    arguments or headers                    what is seen: lists, and a call before all else
//! ```
//! What a caller may not use they do not see, and what they do not see they cannot use: a call is first held against the
//! rules that lists go by. A rule that cannot be evaluated denies. A `require` that is met decides nothing; one that lacks
//! scopes holds the request up only if nothing else denies it, so that nobody is sent for scopes in vain.

use super::index::{Index, fits};
use super::subject::{Asked, Item, Known, NoHeaders, user_of};
use crate::engine::catalog::Kind;
use crate::engine::config::{Action, Policies, Rule, Stance};
use crate::engine::expression::{Memo, Outcome, Reads, Structure, Subject, Text, TreeError};
use std::sync::Arc;

/// The rules of one endpoint.
#[derive(Debug)]
pub struct Policy {
    default: Stance,
    rules: Vec<Rule>,
    index: Index,
    /// By kind of list: a rule may leave something out of it.
    hides: [bool; 4],
    /// What the rules that lists go by read.
    pub(super) seen: Reads,
    reads_client: bool,
}

/// What a policy says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Yes.
    Allowed {
        /// The rule that says so; `None`: no rule matches.
        rule: Option<Arc<str>>,
    },
    /// To this caller there is no such thing.
    Hidden {
        /// The rule that says so.
        rule: Arc<str>,
    },
    /// No.
    Denied {
        /// The rule that says so.
        rule: Arc<str>,
        /// What it has to say about it.
        message: Option<Arc<str>>,
    },
    /// Only with more scopes.
    Scopes {
        /// The first rule that asks for more.
        rule: Arc<str>,
        /// All that are needed, those that the caller has included.
        needed: Vec<Arc<str>>,
    },
    /// A rule reads the arguments, and they cannot be read in one way only.
    Unreadable(TreeError),
}

/// The name that stands for the default where a rule's would.
pub const DEFAULT: &str = "default";

/// What a rule that matches says in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Allow,
    Deny,
}

/// Which rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that lists go by.
    Lists,
    /// All.
    Call,
}

/// What the rules have said so far.
#[derive(Default)]
pub(super) struct Course<'p> {
    /// The first that decided.
    first: Option<(Decision, &'p Rule)>,
    /// What `require` asks for: the first rule that does, and everything.
    lacking: Option<&'p Rule>,
    needed: Vec<Arc<str>>,
}

impl Policy {
    /// Makes the index.
    #[must_use]
    pub fn new(config: &Policies) -> Self {
        let lasting = || config.rules.iter().filter(|rule| !rule.when.reads().is_of_call());
        let mut seen = Reads::default();
        for rule in lasting() {
            seen.join(rule.when.reads());
            if !roles(rule).is_empty() {
                seen.join(&Reads::of(Structure::Roles));
            }
        }
        // Each can deny: by what it says, or because it cannot be evaluated.
        let hides = |kind| config.default == Stance::Deny || lasting().any(|rule| may_concern(rule, kind));
        let names_client = |reads: &Reads| reads.has(Text::ClientName) || reads.has(Text::ClientVersion);
        Self {
            default: config.default,
            index: Index::new(&config.rules),
            hides: Kind::ALL.map(hides),
            seen,
            reads_client: config.rules.iter().any(|rule| names_client(rule.when.reads())),
            rules: config.rules.clone(),
        }
    }

    /// Whether lists of this kind may leave something out.
    #[must_use]
    pub fn hides(&self, kind: Kind) -> bool {
        let at = Kind::ALL.iter().position(|other| *other == kind);
        at.and_then(|at| self.hides.get(at)).copied().unwrap_or(true)
    }

    /// Whether callers may see different lists.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.hides.contains(&true) && self.seen.is_of_caller()
    }

    /// Whether a rule reads what a client calls itself.
    #[must_use]
    pub const fn reads_client(&self) -> bool {
        self.reads_client
    }

    /// Decides.
    #[must_use]
    pub fn judge(&self, asked: &Asked<'_>) -> Verdict {
        if let Some(rule) = self.hidden_by(asked) {
            return Verdict::Hidden { rule };
        }
        let known = Known::new(*asked);
        let course = self.follow(&known, Scope::Call, &mut |_, _| {});
        self.conclude(&known, course)
    }

    /// The rule by which this caller does not see what is asked for.
    #[must_use]
    pub fn hidden_by(&self, asked: &Asked<'_>) -> Option<Arc<str>> {
        let (method, kind) = asked.item.used_by()?;
        if !self.hides(kind) {
            return None;
        }
        let known = Known::new(Asked {
            method: method.as_str(),
            arguments: None,
            headers: &NoHeaders,
            ..*asked
        });
        self.hides_after(&self.follow(&known, Scope::Lists, &mut |_, _| {}))
    }

    /// All rules in their order, with what each says of this request.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Asks the rules that can match, until one decides; `seen` hears what each says.
    pub(super) fn follow<'p>(
        &'p self,
        known: &Known<'_>,
        scope: Scope,
        seen: &mut dyn FnMut(usize, Outcome),
    ) -> Course<'p> {
        let memo = Memo::new(known);
        let inquiry = memo.inquiry();
        let mut course = Course::default();
        for place in self.index.candidates(known) {
            let Some(rule) = self.rules.get(place) else { continue };
            if (scope == Scope::Lists && rule.when.reads().is_of_call()) || !fits(rule, known) {
                continue;
            }
            let outcome = rule.when.evaluate_rest(&inquiry);
            seen(place, outcome);
            let Some(decision) = course.hear(rule, outcome, known) else {
                continue;
            };
            course.first = Some((decision, rule));
            break;
        }
        course
    }

    /// The rule, or the default, that hides an item after lists have gone by their rules.
    pub(super) fn hides_after(&self, course: &Course<'_>) -> Option<Arc<str>> {
        match (course.first, self.default) {
            (Some((Decision::Deny, rule)), _) => Some(Arc::clone(&rule.name)),
            (None, Stance::Deny) => Some(DEFAULT.into()),
            (Some((Decision::Allow, _)), _) | (None, Stance::Allow) => None,
        }
    }

    pub(super) fn conclude(&self, known: &Known<'_>, course: Course<'_>) -> Verdict {
        if let Some(error) = known.unreadable() {
            return Verdict::Unreadable(error.clone());
        }
        let denied = |rule: Arc<str>, message| Verdict::Denied { rule, message };
        let allowed_by = match (course.first, self.default, known.asked().item) {
            (Some((Decision::Deny, rule)), _, _) => return denied(Arc::clone(&rule.name), rule.message.clone()),
            (Some((Decision::Allow, rule)), _, _) => Some(Arc::clone(&rule.name)),
            // The default is about what lists show; a protocol without its handshake would be none.
            (None, Stance::Allow, _) | (None, Stance::Deny, Item::Nothing) => None,
            (None, Stance::Deny, Item::Tool(_) | Item::TaskOf(_) | Item::Prompt(_) | Item::Resource(_)) => {
                return denied(DEFAULT.into(), None);
            }
        };
        match course.lacking {
            Some(rule) => Verdict::Scopes {
                rule: Arc::clone(&rule.name),
                needed: course.needed,
            },
            None => Verdict::Allowed { rule: allowed_by },
        }
    }
}

impl<'p> Course<'p> {
    /// What follows from one rule; `None`: the next one is asked.
    fn hear(&mut self, rule: &'p Rule, outcome: Outcome, known: &Known<'_>) -> Option<Decision> {
        match outcome {
            Outcome::False | Outcome::Absent => return None,
            Outcome::Failed => return Some(Decision::Deny),
            Outcome::True => {}
        }
        match &rule.action {
            Action::Allow => Some(Decision::Allow),
            Action::Deny => Some(Decision::Deny),
            Action::Require { scopes, roles } => {
                let identity = known.identity();
                if roles.iter().any(|role| !identity.roles.contains(role)) {
                    return Some(Decision::Deny);
                }
                if scopes.iter().any(|scope| !identity.scopes.contains(scope)) {
                    self.lacking.get_or_insert(rule);
                }
                let new = scopes.iter().filter(|scope| !self.needed.contains(scope));
                let new: Vec<_> = new.cloned().collect();
                self.needed.extend(new);
                None
            }
        }
    }
}

fn roles(rule: &Rule) -> &[Arc<str>] {
    match &rule.action {
        Action::Allow | Action::Deny => &[],
        Action::Require { roles, .. } => roles,
    }
}

/// Whether it can match an item of this kind.
fn may_concern(rule: &Rule, kind: Kind) -> bool {
    let user = user_of(kind).as_str();
    rule.when.literals().iter().all(|(subject, values)| match subject {
        Subject::Tool | Subject::Upstream => kind == Kind::Tools,
        Subject::Prompt => kind == Kind::Prompts,
        Subject::Resource => kind == Kind::Resources || kind == Kind::Templates,
        Subject::Method => values.iter().any(|method| **method == *user),
    })
}

#[cfg(test)]
impl Policy {
    /// The same as [`Policy::judge`], without the index: every rule is evaluated.
    pub(super) fn judge_all(&self, asked: &Asked<'_>) -> Verdict {
        let follow = |known: &Known<'_>| {
            let memo = Memo::new(known);
            let inquiry = memo.inquiry();
            let mut course = Course::default();
            for rule in &self.rules {
                if let Some(decision) = course.hear(rule, rule.when.evaluate(&inquiry), known) {
                    course.first = Some((decision, rule));
                    break;
                }
            }
            self.conclude(known, course)
        };
        match follow(&Known::new(*asked)) {
            Verdict::Denied { rule, .. } if asked.item.used_by().is_some() => Verdict::Hidden { rule },
            verdict @ (Verdict::Allowed { .. }
            | Verdict::Hidden { .. }
            | Verdict::Denied { .. }
            | Verdict::Scopes { .. }
            | Verdict::Unreadable(_)) => verdict,
        }
    }
}
