//! The grammar, the completions, the tables of `status` and `tools`.

use super::*;
use crate::app::options::{Listen, ServeFrom};
use crate::edge::config_file::ConfigSource;
use crate::engine::mcp::{Era, Version};
use crate::engine::status::{GatewayStatus, Reason, Tool, UpstreamStatus};

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

fn exit_code(line: &str) -> i32 {
    parse(line).expect_err("must be refused").exit_code()
}

fn mk_upstream(name: &str) -> UpstreamStatus {
    UpstreamStatus {
        name: name.to_owned(),
        prefix: format!("{name}_"),
        url: "http://127.0.0.1:9/mcp".to_owned(),
        enabled: true,
        ready: true,
        reason: Reason::Ready,
        eras: vec![Era::Legacy, Era::Modern],
        protocol_version: Some(Version::V2025_11_25),
        tools: 26,
        prompts: 2,
        resources: 0,
        last_listed: Some("2026-11-20T10:00:00Z".to_owned()),
        last_error: None,
        warnings: vec![],
    }
}

#[test]
fn the_grammar_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn wrong_usage_ends_with_two() {
    for line in [
        "mcp-manifold",
        "mcp-manifold up",
        "mcp-manifold up --upstream no-url",
        "mcp-manifold check",
        "mcp-manifold drain",
        "mcp-manifold drain --state-dir state --wait soon",
        "mcp-manifold serve",
        "mcp-manifold serve -f a.yaml --listen somewhere",
        "mcp-manifold serve --registry https://h:9443 --gateway team/gateway",
        "mcp-manifold serve --registry https://h:9443 --registry-certs /c",
        "mcp-manifold serve --registry http://h:9443 --registry-certs /c --gateway team/gateway",
        "mcp-manifold serve --registry https://h:9443 --registry-certs /c --gateway gateway",
        "mcp-manifold serve -f a.yaml --gateway team/gateway",
        "mcp-manifold render envoy -f a.yaml --body-mode none",
        "mcp-manifold render manifests --gateway main",
        "mcp-manifold up --upstream a=http://h/ --log-level verbose",
    ] {
        assert_eq!(exit_code(line), 2, "{line}");
    }
}

#[test]
fn help_and_version_end_with_zero() {
    for line in [
        "mcp-manifold --version",
        "mcp-manifold --help",
        "mcp-manifold render envoy --help",
        "mcp-manifold render crds --help",
        "mcp-manifold render manifests --help",
        "mcp-manifold controller --help",
    ] {
        assert_eq!(exit_code(line), 0, "{line}");
    }
}

#[test]
fn every_command_shows_an_example() {
    fn walk(command: &clap::Command) {
        let help = command.clone().render_long_help().to_string();
        assert!(
            command.has_subcommands() || help.contains("Example"),
            "{}",
            command.get_name()
        );
        command.get_subcommands().for_each(walk);
    }
    walk(&Arguments::command());
}

#[test]
fn up_takes_upstreams_without_a_file() {
    let arguments = parse("mcp-manifold up --upstream a=http://h/mcp?x=1 --upstream b=http://i/ --log-format json");
    let Command::Up(up) = arguments.expect("good usage").command else {
        panic!("not up")
    };
    let upstreams = vec![
        ("a".into(), "http://h/mcp?x=1".into()),
        ("b".into(), "http://i/".into()),
    ];
    assert_eq!(up.into_options().source, ConfigSource { file: None, upstreams });
}

#[test]
fn serve_listens_on_a_socket_or_an_address() {
    assert_eq!("unix:/run/p.sock".parse(), Ok(Listen::Unix("/run/p.sock".into())));
    assert_eq!("127.0.0.1:9002".parse(), Ok(Listen::Tcp(([127, 0, 0, 1], 9002).into())));
}

#[test]
fn completions_know_the_commands() {
    for shell in [
        clap_complete::Shell::Bash,
        clap_complete::Shell::Zsh,
        clap_complete::Shell::Fish,
    ] {
        let script = completions(shell);
        assert!(script.contains("status") && script.contains("body-mode"), "{shell}");
    }
}

#[test]
fn status_is_a_table_with_errors_and_warnings_below() {
    let mut down = mk_upstream("down");
    down.ready = false;
    down.reason = Reason::Unreachable;
    down.eras = vec![];
    down.protocol_version = None;
    down.last_listed = None;
    down.last_error = Some("connection refused".to_owned());
    let mut up = mk_upstream("up");
    up.warnings = vec!["2 names are hidden".to_owned()];
    let status = GatewayStatus {
        version: "0.1.0".to_owned(),
        ready: true,
        generation: 7,
        sessions: 0,
        config_error: None,
        state_errors: Vec::new(),
        upstreams: vec![up, down],
        issuers: Vec::new(),
    };
    let expected = "\
NAME   PREFIX   READY   REASON        ERAS            VERSION      TOOLS   PROMPTS   RESOURCES   LASTLISTED
up     up_      yes     Ready         legacy,modern   2025-11-25   26      2         0           2026-11-20T10:00:00Z
down   down_    no      Unreachable   -               -            26      2         0           -
up: warning: 2 names are hidden
down: connection refused
";
    assert_eq!(ask::status_text(&status, table::Look::default()), expected);
}

#[test]
fn tools_show_the_first_line_of_their_description() {
    let tool = Tool {
        name: "github_search".to_owned(),
        upstream: "github".to_owned(),
        upstream_name: "search".to_owned(),
        eras: vec![Era::Legacy],
        description: Some("\n  Finds code.\nSlowly.".to_owned()),
    };
    let expected = "\
NAME            UPSTREAM   ERAS     DESCRIPTION
github_search   github     legacy   Finds code.
";
    assert_eq!(ask::tools_text(&[tool], table::Look::default()), expected);
}

#[test]
fn a_processor_is_served_by_a_file_or_by_a_registry() {
    let serve = |line: &str| {
        let command = parse(line).expect("good usage").command;
        let Command::Serve(serve) = command else {
            panic!("{command:?}");
        };
        serve.into_options()
    };
    let by_file = serve("mcp-manifold serve -f a.yaml --fallback 127.0.0.1:9003");
    assert!(matches!(by_file.from, ServeFrom::File(_)));
    assert!(by_file.fallback.is_some());
    let registry = "--registry https://h:9443 --registry-certs /c --gateway team/gateway";
    let ServeFrom::Registry(options) = serve(&format!("mcp-manifold serve {registry} --state-dir /s")).from else {
        panic!("a registry was named")
    };
    assert_eq!(options.gateway, "team/gateway");
    assert_eq!(options.state_dir.as_deref(), Some(std::path::Path::new("/s")));
    assert!(!options.name.is_empty(), "the host's");
    assert_eq!(options.settings.file, None);
    let with_settings = serve(&format!("mcp-manifold serve {registry} -f settings.yaml"));
    assert!(matches!(with_settings.from, ServeFrom::Registry(options) if options.settings.file.is_some()));
}
