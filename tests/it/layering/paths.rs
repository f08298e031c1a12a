//! Finds paths and words in Rust source text, well enough for the layering test: no macros, no renamed roots.

/// The text with comments, string and character literals blanked; lines stay where they are.
pub(super) fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, out.chars().next_back());
        let taken = if length == 0 { first.len_utf8() } else { length };
        let (piece, after) = rest.split_at(taken);
        if length == 0 {
            out.push(first);
        } else {
            out.extend(
                piece
                    .chars()
                    .map(|character| if character == '\n' { '\n' } else { ' ' }),
            );
        }
        rest = after;
    }
    out
}

/// How many bytes of a comment or literal stand at the head of `rest`; 0 if none.
fn literal_length(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if rest.starts_with('"') {
        return quoted(rest, 1, '"');
    }
    let word_goes_on = before.is_some_and(|character| character.is_alphanumeric() || character == '_');
    if !word_goes_on && let Some(length) = raw_string(rest) {
        return length;
    }
    if rest.starts_with("'\\") {
        return quoted(rest, 1, '\'');
    }
    match rest.char_indices().nth(2) {
        // A lifetime has no closing quote two characters on.
        Some((end, '\'')) if rest.starts_with('\'') => end + 1,
        _ => 0,
    }
}

fn quoted(rest: &str, start: usize, close: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(start) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == close => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close)? + close.len();
    Some(rest.len() - body.len() + end)
}

/// Every path into this crate that the code uses, from the crate's root, with its line.
pub(super) fn used(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut inline = false;
    for (at, line) in line_starts(code) {
        inline = match code[at..].lines().next().unwrap_or_default() {
            head if head.starts_with("mod ") && head.ends_with('{') => true,
            head if head.starts_with('}') => false,
            _ => inline,
        };
        let end = code[at..].find('\n').map_or(code.len(), |length| at + length);
        let depth_here = usize::from(inline);
        for start in roots(&code[at..end]) {
            let tree = expand(&code[at + start..]);
            found.extend(
                tree.iter()
                    .filter_map(|path| Some((line, absolute(path, module, depth_here)?))),
            );
        }
    }
    found
}

fn line_starts(code: &str) -> impl Iterator<Item = (usize, usize)> {
    std::iter::once(0)
        .chain(code.match_indices('\n').map(|(at, _)| at + 1))
        .zip(1..)
}

/// Where `crate::`, `super::` or `self::` begins a path in this line.
fn roots(line: &str) -> Vec<usize> {
    let mut starts: Vec<usize> = ["crate::", "super::", "self::"]
        .iter()
        .flat_map(|root| line.match_indices(root))
        .map(|(at, _)| at)
        .filter(|at| !line[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
        .collect();
    starts.sort_unstable();
    starts
}

/// The paths of a `use` tree or of a single path at the head of `text`.
fn expand(text: &str) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let word = rest.len()
            - rest
                .trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_')
                .len();
        if word == 0 {
            break;
        }
        path.push(rest[..word].to_owned());
        let Some(after) = rest[word..].strip_prefix("::") else {
            return vec![path];
        };
        rest = after.trim_start();
    }
    let Some(group) = rest.strip_prefix('{') else {
        return vec![path];
    };
    let members = members(group);
    members
        .into_iter()
        .flat_map(expand)
        .map(|member| {
            let tail = member.into_iter().filter(|word| word != "self");
            path.iter().cloned().chain(tail).collect()
        })
        .collect()
}

/// The comma-separated members of a group whose opening brace has been read.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|member| !member.trim().is_empty());
    found
}

/// `super::x` seen from `module` as a path from the root; `None` if it leaves the crate.
fn absolute(path: &[String], module: &[String], inline: usize) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    let relative = ups > 0 || path.first()? == "self";
    let skip = usize::from(path.first()? == "self" || path.first()? == "crate").max(ups);
    let base = if relative {
        module.get(..module.len().checked_sub(ups.saturating_sub(inline))?)?
    } else {
        &[]
    };
    Some(base.iter().chain(path.get(skip..)?).cloned().collect())
}

/// The lines that hold `word` as a whole word.
pub(super) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let whole = |line: &str, at: usize| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part);
    code.lines()
        .zip(1..)
        .filter(|(line, _)| line.match_indices(word).any(|(at, _)| whole(line, at)))
        .map(|(_, line)| line)
        .collect()
}
