use super::*;
use crate::engine::catalog::Kind;
use crate::engine::config::file::parse;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn mk_policy(section: &str) -> Policy {
    let text = format!("upstreams: [{{name: a, url: 'http://a/'}}]\npolicies:\n{section}");
    let config = parse(&text, Path::new("/"), Path::new("/")).unwrap_or_else(|problems| panic!("{problems:?}"));
    Policy::new(&config.policies.expect("given"))
}

fn mk_identity(roles: &[&str], scopes: &[&str]) -> Identity {
    let texts = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect();
    Identity {
        principal: Some("ann".into()),
        roles: texts(roles),
        scopes: texts(scopes),
        ..Identity::default()
    }
}

impl Lookup for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }

    fn all(&self) -> BTreeMap<String, String> {
        self.clone()
    }
}

fn mk_caller(identity: &Identity) -> Caller<'_> {
    Caller {
        identity,
        client_name: "",
        client_version: "",
        ip: "",
    }
}

/// What the policy says of a call of a tool.
fn call(policy: &Policy, identity: &Identity, name: &str, arguments: Option<&str>) -> Verdict {
    policy.judge(&Asked {
        method: "tools/call",
        item: Item::Tool(Tool {
            name,
            upstream: "up",
            upstream_name: name,
            raw: Some(r#"{"name":"x","annotations":{"destructiveHint":true}}"#),
        }),
        arguments,
        caller: mk_caller(identity),
        headers: &NoHeaders,
    })
}

fn method(policy: &Policy, method: &str) -> Verdict {
    policy.judge(&Asked {
        method,
        item: Item::Nothing,
        arguments: None,
        caller: mk_caller(&Identity::default()),
        headers: &NoHeaders,
    })
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allowed { rule: None } => "allowed".to_owned(),
        Verdict::Allowed { rule: Some(rule) } => format!("allowed by {rule}"),
        Verdict::Hidden { rule } => format!("hidden by {rule}"),
        Verdict::Denied { rule, .. } => format!("denied by {rule}"),
        Verdict::Scopes { rule, needed } => format!("{rule} needs {}", needed.join(" ")),
        Verdict::Unreadable(error) => error.to_string(),
    }
}

const DOCUMENTED: &str = r#"
  rules:
    - { name: no-deletes, deny: "tool.name.endsWith('_delete') && !('admin' in roles)" }
    - { name: small-payments, deny: "tool.name == 'bank_pay' && arguments.amount > 100", message: "Too much" }
    - { name: step-up, require: { scopes: [mcp:admin] }, when: "tool.name == 'danger' && tool.annotations.destructiveHint == true" }
"#;

#[test]
fn the_documented_rules_decide_as_documented() {
    let policy = mk_policy(DOCUMENTED);
    let (user, admin) = (mk_identity(&[], &[]), mk_identity(&["admin"], &["mcp:admin"]));
    let said = |identity, name, arguments| word(&call(&policy, identity, name, arguments));
    assert_eq!(said(&user, "a_delete", None), "hidden by no-deletes");
    assert_eq!(said(&admin, "a_delete", None), "allowed");
    assert_eq!(said(&user, "bank_pay", Some(r#"{"amount":100}"#)), "allowed");
    assert_eq!(
        said(&user, "bank_pay", Some(r#"{"amount":100.01}"#)),
        "denied by small-payments"
    );
    assert_eq!(
        said(&user, "bank_pay", Some("{}")),
        "denied by small-payments",
        "it cannot be told"
    );
    assert_eq!(
        said(&user, "bank_pay", Some(r#"{"amount":1,"amount":1}"#)),
        "key \"amount\" appears twice"
    );
    assert_eq!(
        said(&user, "other", Some(r#"{"amount":1,"amount":1}"#)),
        "allowed",
        "nobody reads them"
    );
    assert_eq!(said(&user, "danger", None), "step-up needs mcp:admin");
    assert_eq!(said(&admin, "danger", None), "allowed");
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = mk_policy(
        "
  default: deny
  rules:
    - { name: one, allow: \"tool.name == 'a'\" }
    - { name: two, deny: \"tool.name.startsWith('a')\" }
    - { name: three, allow: \"tool.upstream == 'up'\" }
",
    );
    let user = mk_identity(&[], &[]);
    assert_eq!(word(&call(&policy, &user, "a", None)), "allowed by one");
    assert_eq!(word(&call(&policy, &user, "ab", None)), "hidden by two");
    assert_eq!(word(&call(&policy, &user, "b", None)), "allowed by three");
    let prompt = Asked {
        method: "prompts/get",
        item: Item::Prompt("p"),
        arguments: None,
        caller: mk_caller(&user),
        headers: &NoHeaders,
    };
    assert_eq!(word(&policy.judge(&prompt)), "hidden by default");
    assert_eq!(
        word(&method(&policy, "initialize")),
        "allowed",
        "the default is about what lists show"
    );
}

#[test]
fn a_method_can_be_denied() {
    let policy = mk_policy("\n  rules: [{ name: a, deny: \"method == 'ping' || tool.name == 'x'\" }]");
    assert_eq!(word(&method(&policy, "ping")), "denied by a");
    assert_eq!(word(&method(&policy, "initialize")), "allowed", "there is no tool");
}

#[test]
fn what_only_a_call_knows_neither_hides_nor_shows() {
    let denying = mk_policy("\n  rules: [{ name: a, deny: \"arguments.x == 1\" }]");
    let user = mk_identity(&[], &[]);
    assert!(!denying.hides(Kind::Tools));
    assert_eq!(word(&call(&denying, &user, "t", Some(r#"{"x":1}"#))), "denied by a");
    let showing = mk_policy("\n  default: deny\n  rules: [{ name: a, allow: \"arguments.x == 1\" }]");
    assert_eq!(
        word(&call(&showing, &user, "t", Some(r#"{"x":1}"#))),
        "hidden by default",
        "nobody sees it"
    );
}

#[test]
fn a_rule_about_arguments_says_nothing_where_there_are_none() {
    let policy = mk_policy("\n  rules: [{ name: a, deny: \"arguments.amount > 100\" }]");
    for free in [
        "initialize",
        "ping",
        "tools/list",
        "resources/read",
        "subscriptions/listen",
        "tasks/get",
    ] {
        assert_eq!(word(&method(&policy, free)), "allowed", "{free}");
    }
    for taking in ["tools/call", "prompts/get", "completion/complete"] {
        assert_eq!(
            word(&method(&policy, taking)),
            "denied by a",
            "{taking}: it cannot be told"
        );
    }
    let user = mk_identity(&[], &[]);
    let odd = Asked {
        method: "vendor/pay",
        item: Item::Nothing,
        arguments: Some(r#"{"amount":101}"#),
        caller: mk_caller(&user),
        headers: &NoHeaders,
    };
    assert_eq!(
        word(&policy.judge(&odd)),
        "denied by a",
        "what carries them is judged by them"
    );
    let requiring = mk_policy("\n  rules: [{ name: a, require: { roles: [x] }, when: \"size(arguments) == 0\" }]");
    assert_eq!(word(&method(&requiring, "ping")), "allowed");
    assert_eq!(word(&call(&requiring, &user, "t", None)), "denied by a");
}

#[test]
fn all_scopes_are_named_at_once_unless_something_else_denies() {
    let policy = mk_policy(
        "
  rules:
    - { name: one, require: { scopes: [a, b] }, when: \"tool.name in ['t', 'u']\" }
    - { name: two, require: { scopes: [b, c] }, when: \"true\" }
    - { name: three, deny: \"tool.name == 'u'\" }
    - { name: four, require: { roles: [admin] }, when: \"tool.name == 'v'\" }
",
    );
    let user = mk_identity(&[], &["c", "d"]);
    assert_eq!(word(&call(&policy, &user, "t", None)), "one needs a b c");
    assert_eq!(word(&call(&policy, &user, "u", None)), "hidden by three");
    assert_eq!(word(&call(&policy, &user, "v", None)), "hidden by four");
}

#[test]
fn only_lists_that_rules_can_match_are_filtered() {
    let policy = mk_policy("\n  rules: [{ name: a, deny: \"tool.name == 'x' && principal == 'ann'\" }]");
    assert!(policy.hides(Kind::Tools) && policy.differs());
    assert!(!policy.hides(Kind::Prompts) && !policy.hides(Kind::Resources));
    let same = mk_policy("\n  rules: [{ name: a, deny: \"resource.uri == 'x'\" }]");
    assert!(same.hides(Kind::Templates) && !same.differs());
}

#[test]
fn an_audience_is_what_rules_read_of_a_caller() {
    let policy = mk_policy("\n  rules: [{ name: a, deny: \"'x' in roles && claims.team == 'red'\" }]");
    let audience = |identity: &Identity| policy.audience(&mk_caller(identity));
    let (ann, mut bob) = (mk_identity(&["x"], &["s"]), mk_identity(&["x"], &[]));
    bob.principal = Some("bob".into());
    bob.claims.insert("exp".to_owned(), 1.into());
    assert_eq!(audience(&ann), audience(&bob), "nobody asks who they are");
    bob.claims.insert("team".to_owned(), "red".into());
    assert_ne!(audience(&ann), audience(&bob));
    assert_ne!(
        audience(&mk_identity(&["a", "b"], &[])),
        audience(&mk_identity(&["ab"], &[]))
    );
}

#[test]
fn an_explanation_ends_with_the_rule_that_decides() {
    let policy = mk_policy(DOCUMENTED);
    let user = mk_identity(&[], &[]);
    let asked = Asked {
        method: "tools/call",
        item: Item::Tool(Tool {
            name: "bank_pay",
            upstream: "bank",
            upstream_name: "pay",
            raw: None,
        }),
        arguments: Some(r#"{"amount":1000}"#),
        caller: mk_caller(&user),
        headers: &NoHeaders,
    };
    let explanation = policy.explain(&asked);
    let steps: Vec<_> = explanation
        .steps
        .iter()
        .map(|step| (&*step.rule, &*step.outcome))
        .collect();
    assert_eq!(steps, [("no-deletes", "does not match"), ("small-payments", "denies")]);
    assert_eq!(word(&explanation.verdict), "denied by small-payments");
}

/// Expressions over what lists know, by the dozen.
fn mk_expression() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        "[a-d]".prop_map(|name| format!("tool.name == '{name}'")),
        "[a-d]".prop_map(|name| format!("tool.name in ['{name}', 'b']")),
        "[a-d]".prop_map(|text| format!("tool.name.startsWith('{text}')")),
        "[x-z]".prop_map(|role| format!("'{role}' in roles")),
        Just("method == 'tools/call'".to_owned()),
        Just("method == 'ping'".to_owned()),
        Just("prompt == 'a'".to_owned()),
        Just("claims.missing == 1".to_owned()),
    ];
    (atom.clone(), prop_oneof![Just("&&"), Just("||")], any::<bool>(), atom)
        .prop_map(|(one, operator, not, other)| format!("{one} {operator} {}({other})", if not { "!" } else { "" }))
}

fn mk_rules() -> impl Strategy<Value = String> {
    let rule = (0..3, mk_expression());
    (any::<bool>(), proptest::collection::vec(rule, 0..6)).prop_map(|(deny, rules)| {
        let mut text = format!("\n  default: {}\n  rules:\n", if deny { "deny" } else { "allow" });
        for (at, (action, expression)) in rules.into_iter().enumerate() {
            let line = match action {
                0 => format!("allow: \"{expression}\""),
                1 => format!("deny: \"{expression}\""),
                _ => format!("require: {{ roles: [x] }}, when: \"{expression}\""),
            };
            text.push_str(&format!("    - {{ name: r{at}, {line} }}\n"));
        }
        text
    })
}

/// A call of a tool of `up` without arguments.
fn mk_call<'a>(name: &'a str, identity: &'a Identity) -> Asked<'a> {
    Asked {
        method: "tools/call",
        item: Item::Tool(Tool {
            name,
            upstream: "up",
            upstream_name: name,
            raw: None,
        }),
        arguments: None,
        caller: mk_caller(identity),
        headers: &NoHeaders,
    }
}

proptest! {
    #[test]
    fn what_is_seen_can_be_called_and_the_other_way_round(section in mk_rules(), role in "[x-z]?", name in "[a-d]{1,2}") {
        let policy = mk_policy(&section);
        let identity = mk_identity(&[&role], &[]);
        let asked = mk_call(&name, &identity);
        let listed = policy.hidden_by(&asked).is_none();
        let callable = matches!(policy.judge(&asked), Verdict::Allowed { .. });
        prop_assert_eq!(listed, callable, "{}", section);
    }

    #[test]
    fn rules_that_the_index_leaves_out_would_not_match(section in mk_rules(), role in "[x-z]?", name in "[a-d]{1,2}") {
        let policy = mk_policy(&section);
        let identity = mk_identity(&[&role], &[]);
        let asked = mk_call(&name, &identity);
        prop_assert_eq!(policy.judge(&asked), policy.judge_all(&asked), "{}", section);
    }
}
