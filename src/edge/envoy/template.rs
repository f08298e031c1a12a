//! Fills the YAML fragments in `template/`, so that what Envoy is told can be read as Envoy's own YAML, with comments.
//!
//! `${name}` inside a line becomes a value in JSON form, which YAML reads as well; a line that holds nothing but
//! `${name}` becomes a block of lines, indented alike, or vanishes. What is put in is never scanned again.

use serde::Serialize;

/// The values of one fragment.
#[derive(Default)]
pub(super) struct Fill {
    values: Vec<(&'static str, Value)>,
}

enum Value {
    Inline(String),
    Block(String),
}

impl Fill {
    /// A string, number or list, escaped.
    pub(super) fn value(self, name: &'static str, value: impl Serialize) -> Self {
        let json = serde_json::to_string(&value).expect("strings, numbers and lists have a JSON form");
        self.inline(name, json)
    }

    /// YAML that fits into a line. Strings of others go through [`quoted`] first.
    pub(super) fn inline(mut self, name: &'static str, yaml: String) -> Self {
        self.values.push((name, Value::Inline(yaml)));
        self
    }

    /// Lines of YAML; empty: none.
    pub(super) fn block(mut self, name: &'static str, yaml: impl Into<String>) -> Self {
        self.values.push((name, Value::Block(yaml.into())));
        self
    }

    /// The fragment with everything filled in. A name without a value stays and is refused by Envoy.
    pub(super) fn fill(&self, fragment: &str) -> String {
        let mut filled = String::with_capacity(fragment.len() * 2);
        for line in fragment.lines() {
            match self.block_of(line) {
                Some((indent, block)) => push_indented(&mut filled, indent, block),
                None => self.push_line(&mut filled, line),
            }
        }
        filled
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn block_of<'a>(&'a self, line: &'a str) -> Option<(&'a str, &'a str)> {
        let word = line.trim_start();
        let name = word.strip_prefix("${")?.strip_suffix('}')?;
        match self.find(name)? {
            Value::Block(block) => Some((line.strip_suffix(word)?, block)),
            Value::Inline(_) => None,
        }
    }

    fn push_line(&self, filled: &mut String, line: &str) {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let known = after
                .split_once('}')
                .and_then(|(name, tail)| self.find(name).map(|value| (value, tail)));
            let Some((Value::Inline(value) | Value::Block(value), tail)) = known else {
                filled.push_str("${");
                rest = after;
                continue;
            };
            filled.push_str(value);
            rest = tail;
        }
        filled.push_str(rest);
        filled.push('\n');
    }
}

fn push_indented(filled: &mut String, indent: &str, block: &str) {
    for line in block.lines() {
        if !line.is_empty() {
            filled.push_str(indent);
        }
        filled.push_str(line);
        filled.push('\n');
    }
}

/// A fragment of ours in JSON, on one line, with the same names open. They must stand for whole values.
pub(super) fn as_json(fragment: &str) -> String {
    let quoted = rewrap(fragment, ["${", "}"], ["\"${", "}\""]);
    let tree: serde_json::Value = serde_saphyr::from_str(&quoted).expect("our fragments are YAML");
    rewrap(&tree.to_string(), ["\"${", "}\""], ["${", "}"])
}

/// Every text between `from`'s two ends gets `to`'s ends instead.
fn rewrap(text: &str, from: [&str; 2], to: [&str; 2]) -> String {
    let mut pieces = text.split(from[0]);
    let mut rewrapped = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(from[1]).unwrap_or((piece, ""));
        rewrapped.extend([to[0], name, to[1], rest]);
    }
    rewrapped
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_takes_the_indentation_of_its_line() {
        let fill = Fill::default().block("inner", "b: 1\nc:\n  d: 2\n").block("none", "");
        assert_eq!(
            fill.fill("a:\n  ${inner}\n  ${none}\ne: 3\n"),
            "a:\n  b: 1\n  c:\n    d: 2\ne: 3\n"
        );
    }

    #[test]
    fn what_is_put_in_is_not_scanned_again() {
        let fill = Fill::default().value("path", "${key}").value("key", "secret");
        assert_eq!(
            fill.fill("path: ${path} # ${unknown}"),
            "path: \"${key}\" # ${unknown}\n"
        );
    }

    #[test]
    fn a_fragment_in_json_has_the_same_names_open() {
        let json = as_json("- name: ${name}\n  list: [ { port: ${port}, on: true } ]\n");
        assert_eq!(json, r#"[{"list":[{"on":true,"port":${port}}],"name":${name}}]"#);
        let filled = Fill::default().value("port", 1).value("name", "${port}").fill(&json);
        assert_eq!(
            filled.trim_end(),
            r#"[{"list":[{"on":true,"port":1}],"name":"${port}"}]"#
        );
    }

    proptest! {
        #[test]
        fn no_value_can_leave_its_place(text in ".*") {
            let filled = Fill::default().value("text", &text).fill("a: { b: ${text}, c: 1 }");
            prop_assert_eq!(filled.lines().count(), 1, "a line break would begin a new key");
            let json = filled.trim_end().replacen("a: { b: ", "{\"b\":", 1).replace(", c: 1 }", ",\"c\":1}");
            let back: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
            prop_assert_eq!(back["b"].as_str(), Some(text.as_str()));
        }
    }
}
