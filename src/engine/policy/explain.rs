//! Why a policy says what it says: every rule up to the one that decides, with what it says of this request.

use super::index::fits;
use super::rules::{Policy, Scope, Verdict};
use super::subject::{Asked, Known, NoHeaders};
use crate::engine::config::{Action, Rule};
use crate::engine::expression::{Inquiry, Memo, Outcome};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A verdict and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What a request hears.
    pub verdict: Verdict,
    /// In the order of the rules; those behind the one that decides are not asked.
    pub steps: Vec<Remark>,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remark {
    /// Its name.
    pub rule: Arc<str>,
    /// `allow`, `deny` or `require`.
    pub action: Cow<'static, str>,
    /// As it was written.
    pub expression: Arc<str>,
    /// In a few words.
    pub outcome: Cow<'static, str>,
}

/// `/explain` of the admin port: what would be asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Question {
    /// The claims of a token as JSON, or a name; empty: anonymous.
    pub user: String,
    /// Exposed name.
    pub tool: Option<String>,
    /// Exposed name.
    pub prompt: Option<String>,
    /// URI.
    pub resource: Option<String>,
    /// Default: the one that uses what is named.
    pub method: Option<String>,
    /// JSON.
    pub arguments: Option<String>,
    /// What the client calls itself.
    pub client: Option<String>,
    /// A JSON object, names in lower case.
    pub headers: Option<String>,
}

/// `/explain` of the admin port: the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// `allowed`, `hidden`, `denied`, `scopes` or `unreadable`.
    pub verdict: String,
    /// The rule that decides, or `default`; null where nothing is against it.
    pub rule: Option<Arc<str>>,
    /// What the caller reads, or lacks.
    pub message: Option<String>,
    /// Each rule up to the one that decides.
    pub steps: Vec<Remark>,
}

impl From<Explanation> for Explained {
    fn from(explanation: Explanation) -> Self {
        let (verdict, rule, message) = match explanation.verdict {
            Verdict::Allowed { rule } => ("allowed", rule, None),
            Verdict::Hidden { rule } => ("hidden", Some(rule), None),
            Verdict::Denied { rule, message } => ("denied", Some(rule), message.map(|text| text.to_string())),
            Verdict::Scopes { rule, needed } => ("scopes", Some(rule), Some(needed.join(" "))),
            Verdict::Unreadable(error) => ("unreadable", None, Some(error.to_string())),
        };
        Self {
            verdict: verdict.to_owned(),
            rule,
            message,
            steps: explanation.steps,
        }
    }
}

impl Policy {
    /// The same as [`Policy::judge`], with every rule's word.
    #[must_use]
    pub fn explain(&self, asked: &Asked<'_>) -> Explanation {
        let verdict = self.judge(asked);
        let mut steps = Vec::new();
        let hidden = matches!(verdict, Verdict::Hidden { .. });
        let scope = if hidden { Scope::Lists } else { Scope::Call };
        let known = match (asked.item.used_by(), hidden) {
            // It is the list's question that was answered.
            (Some((method, _)), true) => Known::new(Asked {
                method: method.as_str(),
                arguments: None,
                headers: &NoHeaders,
                ..*asked
            }),
            (Some(_), false) | (None, _) => Known::new(*asked),
        };
        let memo = Memo::new(&known);
        let inquiry = memo.inquiry();
        for rule in self.rules() {
            let (outcome, decides) = word(rule, scope, &known, &inquiry);
            steps.push(Remark {
                rule: Arc::clone(&rule.name),
                action: Cow::Borrowed(match rule.action {
                    Action::Allow => "allow",
                    Action::Deny => "deny",
                    Action::Require { .. } => "require",
                }),
                expression: rule.when.text().into(),
                outcome: Cow::Borrowed(outcome),
            });
            if decides {
                break;
            }
        }
        Explanation { verdict, steps }
    }
}

/// What a rule says, and whether nobody is asked after it.
fn word(rule: &Rule, scope: Scope, known: &Known<'_>, inquiry: &Inquiry<'_>) -> (&'static str, bool) {
    if scope == Scope::Lists && rule.when.reads().is_of_call() {
        return ("reads arguments or headers: does not show what others hide", false);
    }
    if !fits(rule, known) {
        return ("does not match", false);
    }
    match (rule.when.evaluate_rest(inquiry), &rule.action) {
        (Outcome::False, _) => ("does not match", false),
        (Outcome::Absent, _) => ("is about something else", false),
        (Outcome::Failed, _) => ("cannot be evaluated: denies", true),
        (Outcome::True, Action::Allow) => ("allows", true),
        (Outcome::True, Action::Deny) => ("denies", true),
        (Outcome::True, Action::Require { scopes, roles }) => {
            let identity = known.identity();
            if roles.iter().any(|role| !identity.roles.contains(role)) {
                ("matches, a role is missing: denies", true)
            } else if scopes.iter().any(|scope| !identity.scopes.contains(scope)) {
                ("matches, a scope is missing", false)
            } else {
                ("matches and is met", false)
            }
        }
    }
}
