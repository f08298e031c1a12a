//! deploy/README.md: from an empty cluster to the first tool call, by its own commands, one after the other.

use crate::e2e::tools;
use std::process::{Command as Blocking, Stdio};
use tokio::process::Command;

/// The namespaces that the guide makes. They go when the test ends.
struct Made;

const MADE: [&str; 2] = ["infra", "tools"];

impl Drop for Made {
    fn drop(&mut self) {
        let _gone = Blocking::new("kubectl")
            .args(["delete", "namespace", "--wait=false", "--ignore-not-found"])
            .args(MADE)
            .output();
    }
}

/// The text, and the fenced blocks of one language in their order.
fn blocks(language: &str) -> Vec<String> {
    let path = tools::source("deploy/README.md");
    let text = std::fs::read_to_string(path).expect("the guide is there");
    let fence = format!("\n```{language}\n");
    let begun = text.split(&fence).skip(1);
    begun
        .map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned())
        .collect()
}

/// Runs a block in bash; what it printed. Panics where a command fails.
async fn run(block: &str) -> String {
    let program = tools::gateway();
    let folder = program.parent().expect("it is in a folder").display();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-eu", "-o", "pipefail", "-c", block])
        .env("PATH", format!("{folder}:{path}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this block of the guide fails:\n{block}\n{said}{errors}"
    );
    said
}

/// The line of the registration, without its age, and the number of tools before that.
fn row(table: &str) -> (Vec<&str>, u32) {
    let line = table.lines().find(|line| line.starts_with("tools "));
    let mut cells: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    cells.pop();
    let tools = cells.pop().and_then(|tools| tools.parse().ok());
    (cells, tools.unwrap_or(0))
}

#[tokio::test]
async fn the_guide_leads_from_an_empty_cluster_to_the_first_tool_call() {
    let _made = Made;
    let blocks_of_commands = blocks("sh");
    assert_eq!(blocks_of_commands.len(), 6, "six steps");
    let mut said = Vec::new();
    for block in &blocks_of_commands {
        said.push(run(block).await);
    }
    let [.., registered, called] = &said[..] else {
        panic!("six steps")
    };
    assert!(called.contains("hello") && called.contains("\"result\""), "{called}");
    let shown = blocks("");
    let shown = shown
        .iter()
        .find(|block| block.starts_with("NAMESPACE "))
        .expect("the guide shows a table");
    let ((printed, tools), (shown, _)) = (row(registered), row(shown));
    assert_eq!(printed, shown, "the guide shows what is printed: {registered}");
    // How many this server has depends on how soon it is asked.
    assert!(tools > 0, "{registered}");
}
