//! Any text as an expression, any text as the arguments it reads: no panic, a fault lies within the text, and an
//! expression holds only where one of the literals that it demands stands.

use mcp_manifold::engine::expression::{Expression, Facts, Memo, Outcome, Structure, Subject, Text, Tree};

struct Known<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl Facts for Known<'_> {
    fn text(&self, variable: Text) -> Option<&str> {
        Some(match variable {
            Text::ToolName => self.name,
            Text::Method => "tools/call",
            Text::Prompt | Text::ResourceUri => return None,
            Text::ToolUpstream
            | Text::ToolUpstreamName
            | Text::Principal
            | Text::ClientName
            | Text::ClientVersion
            | Text::ClientIp => "x",
        })
    }

    fn tree(&self, variable: Structure) -> Option<Tree> {
        match variable {
            Structure::Arguments => Tree::read(self.arguments).ok(),
            Structure::ToolAnnotations | Structure::Claims | Structure::Headers => Some(Tree::empty()),
            Structure::Roles | Structure::Scopes => Some(Tree::of_list(["x"].into_iter())),
        }
    }

    fn member(&self, _: Structure, _: &str) -> Option<Tree> {
        None
    }
}

pub(crate) fn check(input: (&str, &str, &str)) {
    let (text, name, arguments) = input;
    let expression = match Expression::compile(text) {
        Ok(expression) => expression,
        Err(faults) => {
            assert!(!faults.is_empty(), "something is wrong with it");
            for fault in faults {
                assert!(fault.line <= text.split('\n').count(), "a line of the text");
                assert!(
                    !fault.message.is_empty() && !fault.message.contains('\n'),
                    "one line that says what is wrong"
                );
            }
            return;
        }
    };
    assert_eq!(expression.text(), text);
    let _ = (expression.needs(), expression.constant());
    let known = Known { name, arguments };
    let memo = Memo::new(&known);
    let inquiry = memo.inquiry();
    let outcome = expression.evaluate(&inquiry);
    assert_eq!(
        expression.evaluate(&inquiry),
        outcome,
        "the same facts, the same outcome"
    );
    for (subject, values) in expression.literals().iter() {
        let own = match subject {
            Subject::Tool => name,
            Subject::Method => "tools/call",
            Subject::Upstream => "x",
            Subject::Prompt | Subject::Resource => continue,
        };
        let fits = values.iter().any(|value| **value == *own);
        assert!(
            fits || outcome != Outcome::True,
            "true, although a literal that it demands does not fit"
        );
    }
}
