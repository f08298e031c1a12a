use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Facts out of JSON: `{"tool.name": "a", "arguments": {..}}`.
struct Told(serde_json::Value);

impl Facts for Told {
    fn text(&self, variable: Text) -> Option<&str> {
        self.0.get(variable.as_str())?.as_str()
    }

    fn tree(&self, variable: Structure) -> Option<Tree> {
        self.0.get(variable.as_str()).map(Tree::of_value)
    }

    fn member(&self, variable: Structure, name: &str) -> Option<Tree> {
        self.0.get(variable.as_str())?.get(name).map(Tree::of_value)
    }
}

fn outcome(text: &str, facts: serde_json::Value) -> Outcome {
    let expression = Expression::compile(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let facts = Told(facts);
    expression.evaluate(&Memo::new(&facts).inquiry())
}

fn fault(text: &str) -> String {
    match Expression::compile(text) {
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            faults.join("; ")
        }
        Ok(_) => format!("{text} is taken"),
    }
}

#[test]
fn the_expressions_of_the_documentation_say_what_they_should() {
    let call = json!({"method": "tools/call", "tool.name": "a_delete", "roles": ["user"], "arguments": {"amount": 101},
        "tool.annotations": {"destructiveHint": true}, "claims": {"team": "red", "realm": {"roles": ["x"]}},
        "headers": {"x-team": "red"}, "client.name": "cli", "resource.uri": "file:///a"});
    for text in [
        "tool.name.endsWith('_delete') && !('admin' in roles)",
        "tool.name == 'a_delete' && arguments.amount > 100",
        "tool.annotations.destructiveHint == true",
        "claims.team == 'red' && 'x' in claims.realm.roles && claims['team'] == 'red'",
        "headers['x-team'] == 'red'",
        "has(claims.team) && !has(claims.other)",
        "claims.?other.orValue('none') == 'none'",
        "tool['name'] == tool.name && client.name == 'cli'",
        "arguments.exists(key, key == 'amount')",
        "size(arguments) == 1 ? true : false",
    ] {
        assert_eq!(outcome(text, call.clone()), Outcome::True, "{text}");
    }
}

#[test]
fn what_is_not_there_is_absent_only_if_it_decides() {
    let ping = json!({"method": "ping", "roles": []});
    assert_eq!(outcome("tool.name == 'a'", ping.clone()), Outcome::Absent);
    assert_eq!(outcome("!(tool.name == 'a')", ping.clone()), Outcome::Absent);
    assert_eq!(outcome("!(tool.name in ['a'])", ping.clone()), Outcome::Absent);
    assert_eq!(
        outcome("method == 'ping' || tool.name == 'a'", ping.clone()),
        Outcome::True
    );
    assert_eq!(
        outcome("tool.name == 'a' || method == 'ping'", ping.clone()),
        Outcome::True
    );
    assert_eq!(outcome("has(tool.annotations.readOnlyHint)", ping), Outcome::Absent);
}

#[test]
fn a_side_of_an_or_that_fails_is_not_excused_by_one_that_is_absent() {
    let prompt = json!({"method": "prompts/get", "prompt": "p", "arguments": {"amount": "500"}});
    for (text, expected) in [
        ("tool.name == 'a' || arguments.amount > 100", Outcome::Failed),
        ("arguments.amount > 100 || tool.name == 'a'", Outcome::Failed),
        ("!(tool.name == 'a' || arguments.amount > 100)", Outcome::Failed),
        (
            "prompt == 'p' && (tool.name == 'a' || arguments.amount > 100)",
            Outcome::Failed,
        ),
        (
            "prompt == 'p' ? tool.name == 'a' || arguments.amount > 100 : true",
            Outcome::Failed,
        ),
        ("tool.name == 'a' && arguments.amount > 100", Outcome::Absent),
        ("tool.name == 'a' || arguments.amount == '5'", Outcome::Absent),
        (
            "tool.name == 'a' || (tool.upstream == 'b' && arguments.amount > 1)",
            Outcome::Absent,
        ),
        ("tool.name == 'a' ? true : arguments.amount > 1", Outcome::Absent),
        ("tool.name == 'a' && arguments.amount == '5'", Outcome::False),
    ] {
        assert_eq!(outcome(text, prompt.clone()), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_told_fails() {
    let call = json!({"tool.name": "a", "arguments": {"text": "1", "list": []}, "claims": {}});
    for text in [
        "arguments.amount > 100",
        "arguments.text > 100",
        "claims.team == 'red'",
        "arguments.text",
        "arguments.list[0] == 1",
        "tool.name == 'a' && arguments.amount > 1",
        "1 / 0 == 1",
    ] {
        assert_eq!(outcome(text, call.clone()), Outcome::Failed, "{text}");
    }
    assert_eq!(
        outcome("tool.name == 'b' && arguments.amount > 1", call.clone()),
        Outcome::False
    );
    assert_eq!(
        outcome("arguments.amount > 1 && tool.name == 'b'", call),
        Outcome::False
    );
}

#[test]
fn numbers_compare_as_numbers_whatever_their_size() {
    let read = |arguments: &str, text: &str| {
        struct Raw(String);
        impl Facts for Raw {
            fn text(&self, _: Text) -> Option<&str> {
                None
            }
            fn tree(&self, _: Structure) -> Option<Tree> {
                Tree::read(&self.0).ok()
            }
            fn member(&self, _: Structure, _: &str) -> Option<Tree> {
                None
            }
        }
        let facts = Raw(arguments.to_owned());
        Expression::compile(text)
            .unwrap()
            .evaluate(&Memo::new(&facts).inquiry())
    };
    for (arguments, text) in [
        (r#"{"n":9007199254740993}"#, "arguments.n > 9007199254740992"),
        (r#"{"n":9007199254740993}"#, "arguments.n != 9007199254740992"),
        (r#"{"n":100.5}"#, "arguments.n > 100"),
        (r#"{"n":1e2}"#, "arguments.n == 100"),
        (r#"{"n":100}"#, "arguments.n <= 100.0"),
        (r#"{"n":18446744073709551615}"#, "arguments.n > 9223372036854775807"),
        (r#"{"n":123456789012345678901234567890}"#, "arguments.n > 100"),
        (r#"{"n":-9223372036854775808}"#, "arguments.n < 0"),
        (r#"{"n":1e300}"#, "arguments.n > 100"),
    ] {
        assert_eq!(read(arguments, text), Outcome::True, "{arguments} {text}");
    }
}

#[test]
fn keys_are_unique_in_every_depth() {
    let twice = |text: &str| Tree::read(text).err();
    assert_eq!(
        twice(r#"{"a":{"b":[{"c":1,"\u0063":2}]}}"#),
        Some(TreeError::DuplicateKey("c".into()))
    );
    assert_eq!(
        twice(r#"{"a at line 1":1,"a at line 1":2}"#),
        Some(TreeError::DuplicateKey("a at line 1".into()))
    );
    assert_eq!(twice(r#"{"a":1,"b":1}"#), None);
    assert_eq!(twice(r#"{"a":"\ud800"}"#), Some(TreeError::Unreadable));
    assert_eq!(twice(r#"{"a":1e999}"#), Some(TreeError::Unreadable));
}

#[test]
fn faults_tell_where_they_are() {
    assert_eq!(
        fault("tol.name == 'a'"),
        r#"line 1, column 1: unknown variable "tol": did you mean "tool"?"#
    );
    assert!(fault("method == 'ping' && usr == 'a'").starts_with(r#"line 1, column 21: unknown variable "usr""#));
    assert!(fault("true &&\n  tool.nam == 'a'").contains(r#"unknown member of tool: "nam": did you mean "name"?"#));
    assert!(fault("true &&\n  tool.nam == 'a'").starts_with("line 2, column 8: "));
    assert!(
        fault("tool.name == ").starts_with("line 1, column 14: "),
        "{}",
        fault("tool.name == ")
    );
    assert_eq!(
        fault("tool.name.endWith('a')"),
        r#"line 1, column 11: unknown function "endWith": did you mean "endsWith"?"#
    );
    assert!(fault("true && siz (roles) == 1").starts_with(r#"line 1, column 9: unknown function "siz""#));
    assert!(fault("principal.name == 'a'").contains("principal is a text and has no member name"));
    assert_eq!(fault("tool.name"), "line 1, column 1: is a text, not true or false");
    assert!(fault("roles").contains("is a list"));
    assert!(fault("'a' + 'b'").contains("is a text"));
    assert_eq!(fault(""), "line 1, column 1: it ends too early");
}

#[test]
fn every_fault_of_meaning_is_told_in_the_order_of_the_text() {
    assert_eq!(
        fault("tool.nme == 'a' &&\n usr == 'b' && roles.exists(role, role == rol)"),
        "line 1, column 6: unknown member of tool: \"nme\": did you mean \"name\"?; \
         line 2, column 2: unknown variable \"usr\": there are method, tool, prompt, resource, arguments, principal, claims, \
         roles, scopes, client, headers; \
         line 2, column 43: unknown variable \"rol\": did you mean \"tool\"?"
    );
    assert!(fault("has(tool.nme)").starts_with("line 1, column 1: unknown member of tool"));
}

#[test]
fn what_can_never_fit_is_a_fault() {
    for (text, expected) in [
        ("tool.name == 3", "column 11: a text never equals a number"),
        ("principal != null", "column 11: a text always differs from null"),
        (
            "method == 'ping' && roles == 'admin'",
            "column 27: a list never equals a text",
        ),
        ("client.ip > 10", "column 11: a text does not compare with a number"),
        (
            "arguments.amount > [100]",
            "column 18: a list is neither less nor greater",
        ),
        (
            "'admin' in principal",
            "column 12: is a text: `in` looks into lists and maps, contains() into texts",
        ),
        ("3 in roles", "column 3: a number is never in a list of texts"),
        ("tool.name in [1, 2]", "column 11: a text is never in a list of numbers"),
        ("principal && true", "column 1: is a text, not true or false"),
        ("!tool.name", "column 2: is a text, not true or false"),
        ("tool.name ? true : false", "column 1: is a text, not true or false"),
        (
            "roles.admin",
            "column 7: roles is a list and has no member admin: \"admin\" in roles asks for one",
        ),
        (
            "headers.team.red == 'a'",
            "column 14: headers is a text and has no member red",
        ),
        (
            "headers.Team == 'a'",
            "column 9: names of headers are in lower case: \"team\"",
        ),
        (
            "tool.name.first == 'a'",
            "column 11: tool.name is a text and has no member first",
        ),
        (
            "roles['admin']",
            "column 7: is a text, not a number: that is what a list is asked for by",
        ),
        (
            "roles.contains('admin')",
            "column 1: is a list, not a text: `in` looks into lists and maps",
        ),
        ("roles.startsWith('a')", "column 1: is a list, not a text"),
        ("tool.name.startsWith(3)", "column 22: is a number, not a text"),
        (
            "startsWith(tool.name, 'a')",
            "column 1: is written TEXT.startsWith(TEXT)",
        ),
        (
            "tool.name.startsWith('a', 'b')",
            "column 11: is written TEXT.startsWith(TEXT)",
        ),
        ("size(3) == 3", "column 6: is a number, not a text or a list or a map"),
        ("principal - 1 == 0", "column 1: is a text, not a number"),
        ("principal + 1 == 'a'", "column 11: a text and a number cannot be added"),
        (
            "principal.exists(c, c == 'a')",
            "column 1: is a text, not a list or a map",
        ),
        ("roles.exists(r, r) && roles.map(r, r)", "is a list, not true or false"),
        ("roles.filter(r, r == 'a')", "is a list, not true or false"),
        (
            "size(roles.filter(r, r == 'a')) == 'one'",
            "a number never equals a text",
        ),
    ] {
        let told = fault(text);
        assert!(
            told.starts_with("line 1, column ") && told.ends_with(expected),
            "{text}: {told}"
        );
    }
}

#[test]
fn what_may_fit_is_taken() {
    for text in [
        "arguments.list[0] + 1 > 2 && arguments.text + 'a' == 'ba'",
        "claims.groups.exists(group, group.startsWith('a'))",
        "claims['x'] == null || tool.annotations.readOnlyHint != null",
        "(has(claims.limit) ? claims.limit : 100) > 50",
        "size(roles) == 0 || roles[0] == 'a'",
        "roles.filter(role, role != 'a').size() > 1 && 'a' in roles + ['b']",
        "int(arguments.n) > 1 && string(3) == '3' && double('1.5') == 1.5",
        "type(arguments.x) == string && arguments.all(key, key != 'x')",
        "{'a': 1}[tool.name] == 1 && arguments.exists_one(key, key == 'a')",
        "dyn(principal) == 3 && [roles, ['a']].exists(list, 'a' in list)",
        "headers['x-team'] in ['red', 'blue'] && 'x-team' in headers",
    ] {
        assert!(Expression::compile(text).is_ok(), "{}", fault(text));
    }
}

#[test]
fn what_is_no_expression_is_told_in_plain_words() {
    for (text, expected) in [
        ("tool.name == ", "line 1, column 14: it ends too early"),
        ("(tool.name == 'a'", "it ends too early: ')' is missing"),
        ("tool.name == 'a", "column 14: a text that does not end: 'a"),
        ("tool.name = 'a'", "column 11: = is no operator: == compares"),
        ("method == 'a' and true", "'and' is not understood: && is"),
        (
            "method == 'a' & true",
            "one of && and || is meant: there are no single ones",
        ),
        ("method == 'a' method", "'method' cannot stand here"),
        ("true ? true", "it ends too early"),
    ] {
        let told = fault(text);
        assert!(told.ends_with(expected), "{text}: {told}");
    }
}

#[test]
fn a_header_is_named_in_lower_case_or_never_found() {
    let expected = "line 1, column 9: names of headers are in lower case: \"x-team\"";
    assert_eq!(fault("headers['X-Team'] == 'red'"), expected);
    let expected = "line 1, column 1: names of headers are in lower case: \"x-team\"";
    assert_eq!(fault("'X-Team' in headers"), expected);
    assert!(Expression::compile("'x-team' in headers && 'X' in roles && claims['X'] == 'y'").is_ok());
}

#[test]
fn what_is_read_is_known() {
    let reads = |text: &str| Expression::compile(text).expect("good").reads().clone();
    assert!(reads("tool.name == 'a' && arguments.amount > 1").is_of_call());
    assert!(reads("'x' in headers").is_of_call());
    assert!(!reads("tool.name == principal").is_of_call());
    assert!(reads("tool == {}").has(Structure::ToolAnnotations));
    let claims = reads("claims.team == claims['org'] && claims.realm.roles == []");
    let members: Vec<&str> = claims.claims().expect("members").iter().map(AsRef::as_ref).collect();
    assert_eq!(members, ["org", "realm", "team"]);
    assert_eq!(reads("claims.team == 'a' || size(claims) == 1").claims(), None);
    assert!(
        !reads("['a'].exists(headers, headers == 'a')").is_of_call(),
        "a name of the macro"
    );
}

#[test]
fn literals_that_are_demanded_are_known() {
    let literals = |text: &str| Expression::compile(text).expect("good").literals().clone();
    let found = literals("'a' == tool.name && (method in ['x', 'y'] && arguments.b > 1)");
    assert_eq!(found.values(Subject::Tool), Some(&["a".into()][..]));
    assert_eq!(found.values(Subject::Method), Some(&["x".into(), "y".into()][..]));
    assert_eq!(literals("tool.name == 'a' || method == 'b'"), Literals::default());
    assert_eq!(literals("!(tool.name == 'a')"), Literals::default());
}

#[test]
fn where_the_literals_fit_the_rest_says_the_same() {
    let facts = Told(json!({"tool.name": "pay", "method": "tools/call", "arguments": {"n": 2}}));
    let memo = Memo::new(&facts);
    let inquiry = memo.inquiry();
    for (text, outcome) in [
        ("tool.name == 'pay'", Outcome::True),
        ("'pay' == tool.name && method in ['tools/call', 'ping']", Outcome::True),
        ("tool.name == 'pay' && arguments.n > 1", Outcome::True),
        ("arguments.n > 2 && tool.name == 'pay'", Outcome::False),
        (
            "(tool.name == 'pay' && arguments.n > 1) && arguments.n < 2",
            Outcome::False,
        ),
        ("tool.name == 'pay' && arguments.m > 1", Outcome::Failed),
        ("tool.name == 'pay' && prompt != 'p'", Outcome::Absent),
        ("tool.name == 'pay' || arguments.n > 5", Outcome::True),
        ("!(tool.name == 'pay')", Outcome::False),
    ] {
        let expression = Expression::compile(text).expect("good");
        assert_eq!(expression.evaluate(&inquiry), outcome, "{text}");
        assert_eq!(expression.evaluate_rest(&inquiry), outcome, "{text}, the rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_an_expression_or_a_fault_with_a_place(text in "[a-z0-9 .,'\"()\\[\\]{}&|!=<>?:+*/%\\-\\n\u{e4}]{0,40}") {
        for fault in Expression::compile(&text).err().unwrap_or_default() {
            prop_assert!(fault.line >= 1 && fault.column >= 1 && !fault.message.contains('\n'), "{}", fault);
        }
    }

    #[test]
    fn any_text_is_a_tree_or_an_error(text in "\\PC{0,40}") {
        let _ = Tree::read(&text);
    }

    #[test]
    fn a_tree_says_what_the_json_says(name in "[a-z]{1,5}", number: i64) {
        let facts = Told(json!({"arguments": {name.as_str(): number}}));
        let read = Tree::read(&json!({name.as_str(): number}).to_string());
        prop_assert!(read.is_ok());
        let equal = Expression::compile(&format!("arguments['{name}'] == {number}")).expect("good");
        prop_assert_eq!(equal.evaluate(&Memo::new(&facts).inquiry()), Outcome::True);
    }
}
