//! What README.md shows of configuration files is what the program takes, and `check` says of one of them what stands
//! there.

use mcp_manifold::engine::config::file;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The insides of its blocks of this kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let after = README.split(&fence).skip(1);
    after.map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// The block with what else belongs to a file of its kind.
fn whole(block: &str) -> String {
    let has = |section: &str| block.lines().any(|line| line.starts_with(section));
    let mut text = block.to_owned();
    if !has("upstreams:") {
        text += "upstreams: [ { name: github, url: 'https://mcp.github.example/mcp' } ]\n";
    }
    if !has("authentication:") {
        text += "authentication: { jwt: [ { issuer: 'https://idp.example.com', jwks: { file: jwks.json } } ] }\n";
    }
    text
}

#[test]
fn the_configuration_files_that_the_readme_shows_are_valid() {
    let files: Vec<_> = blocks("yaml")
        .into_iter()
        .filter(|block| !block.starts_with("rule_files:"))
        .collect();
    assert!(files.len() > 10, "only {} were found", files.len());
    for block in files {
        let parsed = file::parse(&whole(block), Path::new("/"), Path::new("/state"));
        if let Err(problems) = parsed {
            panic!("{problems:?} in\n{block}");
        }
    }
}

#[test]
fn check_says_of_an_unknown_variable_what_the_readme_shows() {
    let shown = blocks("console")
        .into_iter()
        .find(|block| block.contains("unknown variable"));
    let shown = shown.and_then(|block| block.lines().nth(1)).expect("it shows one");
    let folder = tempfile::tempdir().expect("a folder");
    let rule = "tool.name.endsWith('_delete') && !('admin' in role)";
    let text = format!(
        "policies: {{ rules: [ {{ name: a, deny: \"{rule}\" }} ] }}\n\
         upstreams: [ {{ name: a, url: 'http://127.0.0.1:9/mcp' }} ]\n"
    );
    std::fs::write(folder.path().join("manifold.yaml"), text).expect("written");
    let said = Command::new(env!("CARGO_BIN_EXE_mcp-manifold"))
        .args(["check", "-f", "manifold.yaml"])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(told.lines().any(|line| line == shown), "{shown}\nis not in\n{told}");
}
