//! Configuration files as they lie on disk.

use mcp_manifold::edge::config_file::ConfigSource;
use mcp_manifold::engine::config::change;
use std::fmt::Write;
use std::path::Path;

fn load(file: &Path) -> mcp_manifold::engine::config::Config {
    let source = ConfigSource {
        file: Some(file.to_owned()),
        upstreams: Vec::new(),
    };
    source.load().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_example_file_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let entries = std::fs::read_dir(folder).expect("readable");
    let configs: Vec<_> = entries.map(|entry| load(&entry.expect("readable").path())).collect();
    assert!(configs.len() >= 5, "{} files", configs.len());
}

#[test]
fn thousands_of_upstreams_are_read_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("manifold.yaml");
    let mut text = String::from("upstreams:\n");
    for number in 0..3000 {
        writeln!(
            text,
            "- name: up-{number}\n  url: https://up-{number}.example/mcp\n  credential: {{ header: Authorization, value: \
             {{ env: TOKEN_{number} }} }}\n  headers: {{ x-team: tools }}\n  timeout: {{ connect: 5s, call: 60s }}"
        )
        .expect("a String takes every text");
    }
    std::fs::write(&file, &text).expect("written");
    let before = load(&file);
    assert_eq!(before.upstreams.len(), 3000, "no limit of the YAML reader is met");
    std::fs::write(&file, text.replace("https://up-7.example", "https://up-seven.example")).expect("written");
    assert_eq!(change::between(&before, &load(&file)).changed, ["up-7"]);
}
