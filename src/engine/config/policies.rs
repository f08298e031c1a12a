//! `policies:`: rules over who calls what, their expressions compiled.

use super::authentication::is_scope;
use super::file::{Findings, Sections};
use crate::engine::expression::Expression;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;

/// More rules than this are refused: each may have to be evaluated for each listed item.
const MAX_RULES: usize = 1000;

/// `policies:`
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    /// What holds for a tool, prompt, resource or task that no rule decides.
    pub default: Stance,
    /// The first that matches decides.
    pub rules: Vec<Rule>,
}

/// What holds where no rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// It is allowed.
    Allow,
    /// It is denied.
    Deny,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// For audit lines, messages and `explain`.
    pub name: Arc<str>,
    /// What it says where it matches.
    pub action: Action,
    /// Where it matches.
    pub when: Expression,
    /// What a denied caller reads instead of the usual text.
    pub message: Option<Arc<str>>,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// Only with all of these; then the next rules are asked.
    Require {
        /// A caller without them is told to get them.
        scopes: Vec<Arc<str>>,
        /// A caller without them is denied.
        roles: Vec<Arc<str>>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with default and rules")]
struct Raw {
    default: Option<RawStance>,
    #[serde(default)]
    rules: Vec<RawRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawStance {
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with name and allow, deny or require")]
struct RawRule {
    name: String,
    allow: Option<String>,
    deny: Option<String>,
    require: Option<RawRequire>,
    when: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with scopes or roles")]
struct RawRequire {
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Reads the section; `None`: it is not there.
pub(super) fn read(sections: &mut Sections, findings: &mut Findings) -> Option<Policies> {
    let raw: Raw = sections.take("policies", findings)?;
    if raw.rules.len() > MAX_RULES {
        findings.add("policies.rules", format!("more than {MAX_RULES} rules"));
    }
    let mut names = HashSet::new();
    let rules = raw.rules.into_iter().enumerate().filter_map(|(at, raw)| {
        let path = format!("policies.rules[{at}]");
        if !names.insert(raw.name.clone()) {
            findings.add(format!("{path}.name"), format!("{:?} is another rule's name", raw.name));
        }
        rule(raw, &path, findings)
    });
    Some(Policies {
        default: match raw.default {
            None | Some(RawStance::Allow) => Stance::Allow,
            Some(RawStance::Deny) => Stance::Deny,
        },
        rules: rules.collect(),
    })
}

fn rule(raw: RawRule, path: &str, findings: &mut Findings) -> Option<Rule> {
    if raw.name.is_empty() || raw.name == "default" || raw.name.chars().any(char::is_control) {
        findings.add(
            format!("{path}.name"),
            "must be a text, in one line, other than \"default\"",
        );
    }
    let (action, key, text) = match (raw.allow, raw.deny, raw.require, raw.when) {
        (Some(text), None, None, None) => (Action::Allow, "allow", text),
        (None, Some(text), None, None) => (Action::Deny, "deny", text),
        (None, None, Some(raw), Some(text)) => (require(raw, path, findings), "when", text),
        (None, None, Some(_), None) => {
            findings.add(path, "require needs when: an expression that tells where it holds");
            return None;
        }
        (Some(_), None, None, Some(_)) | (None, Some(_), None, Some(_)) => {
            findings.add(
                format!("{path}.when"),
                "belongs to require; allow and deny are expressions themselves",
            );
            return None;
        }
        (_, _, _, _) => {
            findings.add(path, "must have one of allow, deny and require");
            return None;
        }
    };
    match Expression::compile(&text) {
        Ok(when) => Some(Rule {
            name: raw.name.into(),
            action,
            when,
            message: raw.message.map(Into::into),
        }),
        Err(faults) => {
            for fault in faults {
                findings.add(format!("{path}.{key}"), fault.to_string());
            }
            None
        }
    }
}

fn require(raw: RawRequire, path: &str, findings: &mut Findings) -> Action {
    if raw.scopes.is_empty() && raw.roles.is_empty() {
        findings.add(format!("{path}.require"), "must name scopes or roles");
    }
    for (at, _) in raw.scopes.iter().enumerate().filter(|(_, scope)| !is_scope(scope)) {
        findings.add(
            format!("{path}.require.scopes[{at}]"),
            "is no scope: printable ASCII without space, quote and backslash",
        );
    }
    let texts = |texts: Vec<String>| texts.into_iter().map(Into::into).collect();
    Action::Require {
        scopes: texts(raw.scopes),
        roles: texts(raw.roles),
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::config::file::parse;
    use std::path::Path;

    fn problems(rules: &str) -> Vec<String> {
        let text = format!("upstreams: [{{name: a, url: 'http://a/'}}]\npolicies:\n  rules:\n{rules}");
        match parse(&text, Path::new("/"), Path::new("/")) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_rules_of_the_documentation_are_good() {
        let rules = r#"
    - { name: no-deletes, deny: "tool.name.endsWith('_delete') && !('admin' in roles)" }
    - { name: small-payments, deny: "tool.name == 'bank_pay' && arguments.amount > 100", message: "Too much" }
    - { name: step-up, require: { scopes: [mcp:admin] }, when: "tool.annotations.destructiveHint == true" }
"#;
        assert_eq!(problems(rules), [""; 0]);
    }

    #[test]
    fn every_mistake_in_an_expression_is_told() {
        let rules = r#"    - { name: a, require: { roles: [x] }, when: "tool.nme == 'x' && 'y' in principal" }"#;
        assert_eq!(
            problems(rules),
            [
                r#"policies.rules[0].when: line 1, column 6: unknown member of tool: "nme": did you mean "name"?"#,
                "policies.rules[0].when: line 1, column 27: is a text: `in` looks into lists and maps, contains() into \
                 texts",
            ]
        );
    }

    #[test]
    fn each_mistake_is_told_with_its_place() {
        let cases = [
            (
                r#"    - { name: a, deny: "tool.name == 'x' && usr == 'y'" }"#,
                r#"policies.rules[0].deny: line 1, column 21: unknown variable "usr": "#,
            ),
            (
                r#"    - { name: a, deny: "principal > 3" }"#,
                "policies.rules[0].deny: line 1, column 11: a text does not compare with a number",
            ),
            (
                "    - { name: a }",
                "policies.rules[0]: must have one of allow, deny and require",
            ),
            (
                "    - { name: a, deny: 'true', allow: 'true' }",
                "policies.rules[0]: must have one of allow, deny and require",
            ),
            (
                "    - { name: a, require: { scopes: [x] } }",
                "policies.rules[0]: require needs when: ",
            ),
            (
                "    - { name: a, require: { scopes: ['a b'] }, when: 'true' }",
                "policies.rules[0].require.scopes[0]: is no scope: ",
            ),
            (
                "    - { name: a, require: {}, when: 'true' }",
                "policies.rules[0].require: must name scopes or roles",
            ),
            (
                "    - { name: a, deny: 'true' }\n    - { name: a, deny: 'true' }",
                r#"policies.rules[1].name: "a" is another rule's name"#,
            ),
            (
                "    - { name: a, dney: 'true' }",
                "policies.rules[0].dney: unknown key; did you mean \"deny\"?",
            ),
        ];
        for (rules, expected) in cases {
            let found = problems(rules);
            assert!(
                found.first().is_some_and(|first| first.starts_with(expected)),
                "{rules}: {found:?}"
            );
        }
    }
}
