//! What README.md shows of configuration files is what the program takes. Those that are followed by what `check` says of
//! them are tried where mistakes are (`e2e::guarded::policy::mistakes`).

use mcp_manifold::engine::config::file;
use std::path::Path;

const README: &str = include_str!("../../README.md");

/// The configuration files that are shown for their own sake.
fn files() -> Vec<&'static str> {
    let blocks = README.split("```yaml\n").skip(1);
    let whole = blocks.filter_map(|rest| rest.split_once("```"));
    whole
        .filter(|(_, after)| !after.trim_start().starts_with("```console\n$ mcp-manifold check"))
        .map(|(block, _)| block)
        .filter(|block| !block.starts_with("rule_files:"))
        .collect()
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
    let files = files();
    assert!(files.len() > 10, "only {} were found", files.len());
    for block in files {
        let parsed = file::parse(&whole(block), Path::new("/"), Path::new("/state"));
        if let Err(problems) = parsed {
            panic!("{problems:?} in\n{block}");
        }
    }
}
