//! What `check` says of mistakes in rules is what the README says that it says.

use crate::e2e::harness::gateway::Setup;
use crate::e2e::tools;

/// Each block of policies in the README that is followed by what `check` says of it.
fn examples() -> Vec<(String, String)> {
    const SAYS: &str = "```console\n$ mcp-manifold check -f manifold.yaml\n";
    let text = std::fs::read_to_string(tools::source("README.md")).expect("the README");
    let parts: Vec<&str> = text.split(SAYS).collect();
    let pair = |two: &[&str]| {
        let (_, rules) = two.first()?.rsplit_once("```yaml\n")?;
        let (rules, _) = rules.split_once("```")?;
        let (said, _) = two.get(1)?.split_once("```")?;
        Some((rules.to_owned(), said.to_owned()))
    };
    parts.windows(2).filter_map(pair).collect()
}

#[test]
fn the_readme_shows_what_check_says() {
    let examples = examples();
    assert_eq!(examples.len(), 2, "mistakes, and warnings");
    for (rules, expected) in examples {
        let setup = Setup::new();
        let rules = format!("upstreams: [ {{ name: bank, url: 'http://127.0.0.1:9/mcp' }} ]\n{rules}");
        std::fs::write(setup.folder.path().join("manifold.yaml"), rules).expect("written");
        let mut check = setup.command(&["check", "-f", "manifold.yaml"]);
        let output = check.current_dir(setup.folder.path()).output().expect("it runs");
        let said = [output.stderr, output.stdout].concat();
        assert_eq!(String::from_utf8_lossy(&said), expected);
        assert_eq!(output.status.success(), expected.contains(": ok"));
    }
}
