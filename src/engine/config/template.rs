//! Header values that name the caller: texts with `{principal}` and `{claims.NAME}` in them; `{{` stands for a brace.

use super::headers;

/// A text with at least one placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Stands as it is.
    Text(Box<str>),
    /// The caller's principal.
    Principal,
    /// What the caller's token says under this name, or at this path of names joined by dots.
    Claim(Box<str>),
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The same for everybody.
    Constant(String),
    /// Another for each caller.
    OfCaller(Template),
}

impl Template {
    /// In their order; two texts never stand side by side.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// Reads a value.
///
/// # Errors
/// A placeholder that is unknown or not closed; text that no header may have.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            plain.push('{');
            rest = after;
        } else if let Some(inside) = from.strip_prefix('{') {
            let (name, after) = inside
                .split_once('}')
                .ok_or("a placeholder is not closed; a brace that is meant is written {{")?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
            }
            pieces.push(placeholder(name)?);
            rest = after;
        } else {
            plain.push('}');
            rest = from.strip_prefix("}}").unwrap_or(&from[1..]);
        }
    }
    plain.push_str(rest);
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text(text) => Some(&**text),
        Piece::Principal | Piece::Claim(_) => None,
    });
    // Blanks are welcome beside a placeholder, not around the whole.
    for text in texts.chain([plain.as_str()]) {
        headers::value(text.trim_matches(' '))?;
    }
    headers::value(text.get(..1).unwrap_or_default())?;
    headers::value(text.get(text.len().saturating_sub(1)..).unwrap_or_default())?;
    if pieces.is_empty() {
        headers::value(&plain)?;
        return Ok(Value::Constant(plain));
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.into()));
    }
    Ok(Value::OfCaller(Template { pieces }))
}

fn placeholder(name: &str) -> Result<Piece, String> {
    match name.strip_prefix("claims.") {
        Some(claim) if !claim.is_empty() && !claim.contains('{') => Ok(Piece::Claim(claim.into())),
        None if name == "principal" => Ok(Piece::Principal),
        // It may be half of something that was meant as a text: not shown.
        Some(_) | None => {
            Err("an unknown placeholder: {principal} and {claims.NAME} are known, a brace is written {{".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece> {
        match read(text).expect("a value") {
            Value::OfCaller(template) => template.pieces,
            Value::Constant(text) => panic!("{text} is constant"),
        }
    }

    #[test]
    fn placeholders_stand_between_texts() {
        let expected = [
            Piece::Text("u=".into()),
            Piece::Claim("sub".into()),
            Piece::Text("; {p}=".into()),
            Piece::Principal,
        ];
        assert_eq!(pieces("u={claims.sub}; {{p}}={principal}"), expected);
        assert_eq!(pieces("{claims.a.b}"), [Piece::Claim("a.b".into())]);
    }

    #[test]
    fn a_text_without_placeholders_is_constant() {
        for (text, constant) in [("tools", "tools"), ("{{a}}", "{a}"), ("a}", "a}"), ("", "")] {
            assert_eq!(read(text), Ok(Value::Constant(constant.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_placeholder_is_refused() {
        for text in [
            "{claims.}",
            "{sub}",
            "{claims.sub",
            "{",
            "{ principal }",
            "{claims.a{b}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in [
            "a\r\nb: {principal}",
            "{principal}\n",
            "{principal} ",
            "ä{principal}",
            " constant",
        ] {
            assert!(read(text).is_err(), "{text:?} can stand in no header");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a{}. p-s]{0,24}") {
            let _ = read(&text);
        }
    }
}
