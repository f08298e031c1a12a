//! The CustomResourceDefinitions, as text that `kubectl apply` takes: one YAML file per kind in `definitions/`.
//!
//! A file describes the preferred version once; older versions are the same word for word, so that the API server needs
//! no conversion. A line `${conditions}` or `${selector}` stands for a piece that several of them have.

use super::Kind;

/// Pieces, by the line that stands for them.
const PIECES: [(&str, &str); 2] = [
    ("${conditions}", include_str!("definitions/conditions.yaml")),
    ("${selector}", include_str!("definitions/selector.yaml")),
];
const VERSIONS: &str = "  versions:\n";

/// All definitions, one YAML document each.
#[must_use]
pub fn definitions() -> String {
    let documents: Vec<String> = Kind::ALL.into_iter().map(definition).collect();
    documents.join("---\n")
}

/// The definition of one kind, a YAML document.
#[must_use]
pub fn definition(kind: Kind) -> String {
    let text = fill(&source(kind));
    let mut versions = kind.versions().iter();
    let (Some(preferred), Some((_, entry))) = (versions.next(), text.split_once(VERSIONS)) else {
        return text;
    };
    let older: Vec<String> = versions.map(|version| older(entry, preferred, version)).collect();
    text.clone() + &older.concat()
}

fn source(kind: Kind) -> String {
    match kind {
        Kind::Registration => include_str!("definitions/registration.yaml").to_owned(),
        Kind::Extension => include_str!("definitions/extension.yaml").to_owned(),
        Kind::VirtualServer => include_str!("definitions/virtual-server.yaml").to_owned(),
        // The same in both groups.
        Kind::AgentgatewayBackend | Kind::KgatewayBackend => include_str!("definitions/backend.yaml")
            .replace("${group}", kind.group())
            .replace("${kind}", kind.kind())
            .replace("${plural}", kind.plural())
            .replace("${singular}", &kind.kind().to_lowercase()),
    }
}

/// The same entry for a version that is served but not stored.
fn older(entry: &str, preferred: &str, version: &str) -> String {
    entry
        .replacen(&format!("- name: {preferred}\n"), &format!("- name: {version}\n"), 1)
        .replacen("storage: true\n", "storage: false\n", 1)
}

/// A piece takes the indentation of the line that stands for it.
fn fill(text: &str) -> String {
    let mut filled = String::with_capacity(2 * text.len());
    for line in text.lines() {
        let piece = PIECES
            .iter()
            .find_map(|(hole, piece)| Some((line.strip_suffix(hole)?, piece)));
        match piece {
            None => filled.extend([line, "\n"]),
            Some((indent, piece)) => piece.lines().for_each(|line| filled.extend([indent, line, "\n"])),
        }
    }
    filled
}
