//! Rules that can never decide anything: nothing is wrong with what they say, and no request will ever hear it.
//!
//! Only what is certain is told; a rule that is not named here may be idle all the same.

use super::file::Problem;
use super::{Action, Config, Policies, Rule, Stance};
use crate::engine::expression::{Structure, Subject, Text, Variable};
use crate::engine::mcp::Method;

/// The idle rules of a configuration, each with the reason.
#[must_use]
pub fn rules(config: &Config) -> Vec<Problem> {
    let Some(policies) = &config.policies else {
        return Vec::new();
    };
    let idle = policies.rules.iter().enumerate().filter_map(|(at, rule)| {
        let message = reason(rule, at, policies, config)?;
        let path = format!("policies.rules[{at}]");
        Some(Problem {
            path,
            message: format!("rule {:?} can never decide anything: {message}", rule.name),
        })
    });
    idle.collect()
}

fn reason(rule: &Rule, at: usize, policies: &Policies, config: &Config) -> Option<String> {
    if rule.when.constant() == Some(false) {
        return Some("it never matches".to_owned());
    }
    let mut before = policies.rules.iter().take(at);
    if let Some(first) = before.find(|rule| decides_all(rule)) {
        return Some(format!("rule {:?} before it decides everything", first.name));
    }
    apart(rule)
        .or_else(|| contradiction(rule))
        .or_else(|| method(rule))
        .or_else(|| upstream(rule, config))
        .or_else(|| unseen(rule, policies))
}

fn decides_all(rule: &Rule) -> bool {
    let decides = match &rule.action {
        Action::Allow | Action::Deny => true,
        Action::Require { .. } => false,
    };
    decides && rule.when.constant() == Some(true)
}

/// What a request can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Tool,
    Prompt,
    Resource,
}

impl About {
    const ALL: [Self; 3] = [Self::Tool, Self::Prompt, Self::Resource];

    const fn word(self) -> &'static str {
        match self {
            Self::Tool => "a tool",
            Self::Prompt => "a prompt",
            Self::Resource => "a resource",
        }
    }

    const fn of(variable: Variable) -> Option<Self> {
        match variable {
            Variable::Text(Text::ToolName | Text::ToolUpstream | Text::ToolUpstreamName)
            | Variable::Structure(Structure::ToolAnnotations) => Some(Self::Tool),
            Variable::Text(Text::Prompt) => Some(Self::Prompt),
            Variable::Text(Text::ResourceUri) => Some(Self::Resource),
            Variable::Text(
                Text::Method | Text::Principal | Text::ClientName | Text::ClientVersion | Text::ClientIp,
            )
            | Variable::Structure(
                Structure::Arguments | Structure::Claims | Structure::Roles | Structure::Scopes | Structure::Headers,
            ) => None,
        }
    }
}

/// It needs things that no request has together.
fn apart(rule: &Rule) -> Option<String> {
    let needs = rule.when.needs();
    let is_needed = |about: &About| needs.iter().any(|variable| About::of(*variable) == Some(*about));
    let mut needed = About::ALL.into_iter().filter(is_needed);
    let (one, other) = (needed.next()?, needed.next()?);
    Some(format!("no request is about {} and {}", one.word(), other.word()))
}

/// It demands two values of one thing.
fn contradiction(rule: &Rule) -> Option<String> {
    let mut demanded: Vec<(Subject, Vec<&str>)> = Vec::new();
    for (subject, values) in rule.when.literals().iter() {
        match demanded.iter_mut().find(|(own, _)| *own == subject) {
            Some((_, left)) => left.retain(|one| values.iter().any(|other| **other == **one)),
            None => demanded.push((subject, values.iter().map(AsRef::as_ref).collect())),
        }
    }
    let (subject, _) = demanded.into_iter().find(|(_, left)| left.is_empty())?;
    Some(format!(
        "no request has the values that it demands of {}",
        variable(subject)
    ))
}

const fn variable(subject: Subject) -> &'static str {
    match subject {
        Subject::Tool => "tool.name",
        Subject::Upstream => "tool.upstream",
        Subject::Method => "method",
        Subject::Prompt => "prompt",
        Subject::Resource => "resource.uri",
    }
}

/// Its methods have nothing of what it needs.
fn method(rule: &Rule) -> Option<String> {
    let named = rule.when.literals().values(Subject::Method)?;
    let known: Vec<Method> = named.iter().filter_map(|name| Method::parse(name)).collect();
    if known.len() < named.len() {
        // Servers on transparent paths may have methods of their own; one that is nearly ours is a slip.
        let slip = named.iter().find_map(|name| Some((name, near(name)?)))?;
        let (name, near) = slip;
        return known
            .is_empty()
            .then(|| format!("there is no method {name:?}: did you mean {:?}?", near.as_str()));
    }
    let lacks = |need: &Variable| !known.iter().any(|method| has(*method, *need));
    let need = rule.when.needs().into_iter().find(lacks)?;
    let what = About::of(need).map_or("arguments", About::word);
    let names: Vec<_> = known.iter().map(|method| method.as_str()).collect();
    Some(format!(
        "{} requests have no {}",
        names.join(", "),
        what.trim_start_matches("a ")
    ))
}

fn near(name: &str) -> Option<Method> {
    if Method::parse(name).is_some() {
        return None;
    }
    let distance = |method: &Method| strsim::damerau_levenshtein(name, method.as_str());
    Method::ALL
        .into_iter()
        .min_by_key(distance)
        .filter(|method| distance(method) <= 2)
}

/// Whether requests with this method can have it.
fn has(method: Method, variable: Variable) -> bool {
    let is_of_task = match method {
        Method::TasksGet | Method::TasksUpdate | Method::TasksResult | Method::TasksCancel | Method::TasksList => true,
        // Streams of news are held against what tells of tasks.
        Method::Listen => true,
        Method::Initialize
        | Method::Discover
        | Method::Ping
        | Method::ToolsList
        | Method::ToolsCall
        | Method::PromptsList
        | Method::PromptsGet
        | Method::ResourcesList
        | Method::ResourceTemplatesList
        | Method::ResourcesRead
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::Complete
        | Method::SetLevel => false,
    };
    match (About::of(variable), method) {
        (Some(About::Tool), Method::ToolsCall) => true,
        (Some(About::Tool), _) => is_of_task && variable == Variable::Text(Text::ToolUpstream),
        (Some(About::Prompt), method) => matches!(method, Method::PromptsGet | Method::Complete),
        (Some(About::Resource), method) => matches!(
            method,
            Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe | Method::Complete
        ),
        (None, method) => {
            variable != Variable::Structure(Structure::Arguments)
                || matches!(method, Method::ToolsCall | Method::PromptsGet | Method::Complete)
        }
    }
}

/// It names upstreams that there are not.
fn upstream(rule: &Rule, config: &Config) -> Option<String> {
    let named = rule.when.literals().values(Subject::Upstream)?;
    let is_there = |name: &str| config.upstreams.iter().any(|upstream| upstream.name == name);
    // A registry's upstreams are not known here.
    let knows = !config.upstreams.is_empty();
    let missing = knows && !named.iter().any(|name| is_there(name));
    missing.then(|| format!("no upstream is called {}", named.join(" or ")))
}

/// It allows calls of what nobody sees.
fn unseen(rule: &Rule, policies: &Policies) -> Option<String> {
    let shows = |rule: &Rule| rule.action == Action::Allow && !rule.when.reads().is_of_call();
    let is_unseen = policies.default == Stance::Deny
        && rule.action == Action::Allow
        && rule.when.reads().is_of_call()
        && !rule.when.needs().is_empty()
        && !policies.rules.iter().any(shows);
    is_unseen.then(|| {
        "under `default: deny` it shows nothing, for it reads arguments or headers: allow by another rule what is to be seen"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use crate::engine::config::file::parse;
    use std::path::Path;

    /// The reasons, by the place of the rule.
    fn idle(policies: &str) -> Vec<String> {
        let text = format!("upstreams: [{{name: bank, url: 'http://a/'}}]\npolicies:\n{policies}");
        let config = parse(&text, Path::new("/"), Path::new("/")).unwrap_or_else(|problems| panic!("{problems:?}"));
        super::rules(&config).iter().map(ToString::to_string).collect()
    }

    fn of(expression: &str) -> Vec<String> {
        idle(&format!("  rules: [ {{ name: r, deny: \"{expression}\" }} ]"))
    }

    #[test]
    fn a_rule_that_can_never_decide_is_told_with_the_reason() {
        for (expression, reason) in [
            ("false", "it never matches"),
            (
                "tool.name == 'a' && prompt == 'b'",
                "no request is about a tool and a prompt",
            ),
            (
                "tool.name.startsWith('a') && resource.uri != ''",
                "no request is about a tool and a resource",
            ),
            (
                "(tool.name == 'a' || tool.upstream == 'bank') && prompt == 'b'",
                "no request is about a tool and a prompt",
            ),
            (
                "!(tool.name == 'a' || prompt == 'b')",
                "no request is about a tool and a prompt",
            ),
            (
                "tool.name == 'a' && tool.name in ['b', 'c']",
                "no request has the values that it demands of tool.name",
            ),
            (
                "method == 'tools/list' && arguments.x == 1",
                "tools/list requests have no arguments",
            ),
            (
                "method in ['ping', 'prompts/get'] && tool.name == 'a'",
                "ping, prompts/get requests have no tool",
            ),
            (
                "method == 'tools/cal'",
                r#"there is no method "tools/cal": did you mean "tools/call"?"#,
            ),
            ("tool.upstream == 'bnak'", "no upstream is called bnak"),
        ] {
            let expected = format!("policies.rules[0]: rule \"r\" can never decide anything: {reason}");
            assert_eq!(of(expression), [expected], "{expression}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_rule_that_may_decide() {
        for expression in [
            "tool.name == 'a' || prompt == 'b'",
            "!(tool.name == 'a' && prompt == 'b')",
            "method == 'tools/call' ? tool.name == 'a' : prompt == 'b'",
            "method == 'ping' || arguments.x == 1",
            "method == 'vendor/pay' && arguments.x == 1",
            "method in ['tools/cal', 'tools/call']",
            "method == 'tasks/get' && tool.upstream == 'bank'",
            "method == 'completion/complete' && (prompt == 'a' || resource.uri == 'b')",
            "tool.name in ['a', 'b'] && tool.name in ['b', 'c'] && tool.upstream in ['bank', 'gone']",
            "roles.exists(role, tool.name == role) && prompt == 'b'",
            "(tool.name == 'a' || prompt == 'b') == true && prompt == 'b'",
            "arguments.x == 1 && headers['a'] == 'b'",
        ] {
            assert_eq!(of(expression), [""; 0], "{expression}");
        }
    }

    #[test]
    fn what_comes_behind_a_rule_that_decides_everything_is_idle() {
        let rules = "  rules: [ { name: a, require: { scopes: [x] }, when: 'true' }, { name: b, allow: 'true' }, { name: c, deny: \
                     \"tool.name == 'x'\" } ]";
        let expected =
            "policies.rules[2]: rule \"c\" can never decide anything: rule \"b\" before it decides everything";
        assert_eq!(idle(rules), [expected]);
    }

    #[test]
    fn what_nobody_sees_cannot_be_allowed_by_its_arguments() {
        let rule = "{ name: a, allow: \"tool.name == 'x' && arguments.y == 1\" }";
        let alone = idle(&format!("  default: deny\n  rules: [ {rule} ]"));
        assert!(alone[0].contains("under `default: deny` it shows nothing"), "{alone:?}");
        let shown = format!("  default: deny\n  rules: [ {rule}, {{ name: b, allow: \"tool.upstream == 'bank'\" }} ]");
        assert_eq!(idle(&shown), [""; 0]);
        assert_eq!(idle(&format!("  rules: [ {rule} ]")), [""; 0]);
    }
}
