//! Commands out of a guide's text, and a shell that runs them.

use crate::e2e::tools;
use crate::kube::harness::kubectl::Said;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// What stands in the guide, what runs instead, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adaptation {
    pub(crate) text: &'static str,
    pub(crate) instead: &'static str,
    pub(crate) because: &'static str,
}

/// A guide of `tests/fixtures/seeds` with its adaptations made. Panics where one of them finds nothing to adapt.
pub(crate) fn guide(name: &str, table: &[Adaptation], values: &[(&str, &str)]) -> String {
    let path = tools::source("tests/fixtures/seeds").join(name);
    let mut text = std::fs::read_to_string(&path).expect("the guide is there");
    for Adaptation {
        text: from,
        instead,
        because,
    } in table
    {
        assert!(text.contains(from), "{name}: nothing to adapt ({because}): {from}");
        let instead = values
            .iter()
            .fold((*instead).to_owned(), |word, (name, value)| word.replace(name, value));
        text = text.replace(from, &instead);
    }
    text
}

/// Runs a piece of a guide in bash, in this folder: what it printed. Panics where a command fails.
pub(crate) async fn run(piece: &str, folder: &Path) -> Said {
    let output = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", piece])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("bash runs");
    let said = Said {
        success: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(
        said.success,
        "a command of the guide fails:\n{piece}\n{}{}",
        said.out, said.err
    );
    said
}

/// The commands of a guide that has lost its code fences: a command begins where a line begins with one of `words` and
/// ends where its quotes, continuations and here-documents do.
pub(crate) fn bare_commands(text: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let first = line.split(' ').next().unwrap_or_default();
        if !words
            .iter()
            .any(|word| first == *word || line.starts_with(&format!("{word}=")))
        {
            continue;
        }
        let mut command = format!("{line}\n");
        if line.contains("<<EOF") {
            for line in lines.by_ref() {
                command.push_str(line);
                command.push('\n');
                if line == "EOF" {
                    break;
                }
            }
        }
        while command.trim_end().ends_with('\\') {
            let Some(line) = lines.next() else { break };
            command.push_str(line);
            command.push('\n');
        }
        found.push(command);
    }
    found
}

/// The fenced code blocks of a guide whose text, without indentation, begins with one of `words`.
pub(crate) fn fenced_commands(text: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        match (&mut block, bare.starts_with("```")) {
            (None, true) => block = Some((indent, String::new())),
            (Some((indent, text)), false) => {
                let cut = line.get(*indent..).unwrap_or(bare);
                text.push_str(cut);
                text.push('\n');
            }
            (Some((_, text)), true) => {
                if words.iter().any(|word| text.starts_with(word)) {
                    found.push(std::mem::take(text));
                }
                block = None;
            }
            (None, false) => {}
        }
    }
    found
}

#[test]
fn a_command_ends_with_its_here_document_or_its_last_continuation() {
    let text = "prose\nkubectl apply -f - <<EOF\na: 1\nEOF\n\nmore\ncurl x \\\n  -d y\nID=$(echo 1)\nkubectlish\n";
    let commands = bare_commands(text, &["kubectl", "curl", "ID"]);
    assert_eq!(
        commands,
        [
            "kubectl apply -f - <<EOF\na: 1\nEOF\n",
            "curl x \\\n  -d y\n",
            "ID=$(echo 1)\n"
        ]
    );
}

#[test]
fn a_fenced_block_loses_its_indentation() {
    let text = "1. So:\n   ```yaml\n   kubectl apply -f- <<EOF\n   a:\n     b\n   EOF\n   ```\n```sh\necho\n```\n";
    assert_eq!(
        fenced_commands(text, &["kubectl"]),
        ["kubectl apply -f- <<EOF\na:\n  b\nEOF\n"]
    );
}
