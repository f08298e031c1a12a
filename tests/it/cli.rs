//! The program as people run it: what it prints, where, and how it ends. A clean environment, no gateway but a
//! scripted admin port.

use super::admin::Port;
use std::path::{Path, PathBuf};
use tokio::process::Command;

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_mcp-manifold"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program runs");
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config")
}

fn mk_file(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("manifold.yaml"), text).expect("written");
    folder
}

#[tokio::test]
async fn check_says_ok_on_standard_output() {
    let outcome = run(&fixtures(), &[], &["check", "-f", "minimal.yaml"]).await;
    assert_eq!(
        (outcome.code, outcome.out.as_str()),
        (Some(0), "minimal.yaml: ok (1 upstream)\n")
    );
    assert_eq!(outcome.err, "");
}

#[tokio::test]
async fn check_names_every_problem_and_every_missing_secret_in_one_run() {
    let folder = mk_file(
        "pth: /mcp\n\
         upstreams:\n\
         - {name: a, url: 'http://a.example/', credential: {header: x-key, value: {env: NOT_SET}}}\n\
         - {name: b, url: 'https://b.example/', prefx: b_, tls: {ca: {file: ca.pem}}}\n",
    );
    let outcome = run(folder.path(), &[], &["check", "-f", "manifold.yaml"]).await;
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""));
    let paths: Vec<&str> = outcome.err.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    let expected = [
        "pth",
        "upstreams[1].prefx",
        "upstreams[0].credential.value",
        "upstreams[1].tls.ca.file",
    ];
    assert_eq!(paths, expected, "{}", outcome.err);
    assert!(
        outcome.err.lines().all(|line| line.starts_with("manifold.yaml: ")),
        "{}",
        outcome.err
    );
}

#[tokio::test]
async fn check_looks_for_the_folder_of_the_audit_file() {
    let upstreams = "upstreams: [{name: a, url: 'http://a/'}]\n";
    for (file, code) in [("audit.jsonl", 0), ("logs/audit.jsonl", 1)] {
        let folder = mk_file(&format!("audit: {{file: {file}}}\n{upstreams}"));
        let outcome = run(folder.path(), &[], &["check", "-f", "manifold.yaml"]).await;
        assert_eq!(outcome.code, Some(code), "{file}: {}", outcome.err);
        assert_eq!(
            outcome.err.contains("manifold.yaml: audit.file: "),
            code == 1,
            "{}",
            outcome.err
        );
    }
}

#[tokio::test]
async fn a_secret_that_is_there_satisfies_check_and_is_not_printed() {
    let folder = mk_file("upstreams: [{name: a, url: 'http://a/', credential: {header: x-key, value: {env: KEY}}}]\n");
    let outcome = run(folder.path(), &[("KEY", "hunter2")], &["check", "-f", "manifold.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(!outcome.out.contains("hunter2"));
}

#[tokio::test]
async fn status_is_a_table_and_json_is_what_the_port_says() {
    let port = Port::ready().await;
    let address = port.address.to_string();
    let table = run(Path::new("/"), &[], &["status", "--admin", &address]).await;
    assert_eq!(table.code, Some(0), "{}", table.err);
    let rows: Vec<Vec<&str>> = table
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][..4], ["NAME", "PREFIX", "READY", "REASON"]);
    assert_eq!(rows[1][..4], ["github", "github_", "yes", "Ready"]);
    assert!(!table.out.contains('\x1b'), "no colours where nobody looks");
    let json = run(
        Path::new("/"),
        &[("MCP_MANIFOLD_ADMIN", &address)],
        &["status", "--json"],
    )
    .await;
    let value: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(value["upstreams"][0]["name"], "github");
    port.end().await;
}

#[tokio::test]
async fn tools_asks_where_the_file_says_and_shows_its_token() {
    let port = Port::start("127.0.0.1", &[], Some("t0ken")).await;
    let folder = mk_file(&format!(
        "admin: {}\nadminToken: {{file: token}}\nupstreams: [{{name: a, url: 'http://a/'}}]\n",
        port.address
    ));
    std::fs::write(folder.path().join("token"), "t0ken\n").expect("written");
    let outcome = run(folder.path(), &[], &["tools", "-f", "manifold.yaml"]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(
        outcome.out.starts_with("NAME") && outcome.out.contains("github_search   github     legacy"),
        "{}",
        outcome.out
    );

    let address = port.address.to_string();
    let from_environment = [("MCP_MANIFOLD_ADMIN_TOKEN", "t0ken")];
    let outcome = run(Path::new("/"), &from_environment, &["tools", "--admin", &address]).await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let outcome = run(Path::new("/"), &[], &["tools", "--admin", &address]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("wants a token"), "{}", outcome.err);
    port.end().await;
}

#[tokio::test]
async fn where_no_gateway_runs_the_address_is_named() {
    let port = Port::ready().await;
    let address = port.address.to_string();
    port.end().await;
    let outcome = run(Path::new("/"), &[], &["status", "--admin", &address]).await;
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""));
    assert!(
        outcome.err.contains(&address) && outcome.err.contains("--admin"),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
}

#[tokio::test]
async fn wrong_usage_ends_with_two_and_help_with_zero() {
    for arguments in [
        &["frobnicate"][..],
        &["check"],
        &["up"],
        &["status", "--log-level", "loud"],
    ] {
        let outcome = run(Path::new("/"), &[], arguments).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{arguments:?}");
    }
    let outcome = run(Path::new("/"), &[], &["--version"]).await;
    assert_eq!(outcome.out, format!("mcp-manifold {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(Path::new("/"), &[], &["up", "--help"]).await.code, Some(0));
}

#[tokio::test]
async fn render_envoy_prints_a_bootstrap_and_keeps_its_route_key() {
    let folder = mk_file("stateDir: state\nupstreams: [{name: a, url: 'http://a.example/mcp'}]\n");
    let full = run(folder.path(), &[], &["render", "envoy", "-f", "manifold.yaml"]).await;
    assert_eq!(full.code, Some(0), "{}", full.err);
    let key = std::fs::read_to_string(folder.path().join("state/route-key")).expect("kept");
    assert!(
        full.out.contains(key.trim()) && full.out.contains("FULL_DUPLEX_STREAMED"),
        "{}",
        full.out
    );
    let arguments = [
        "render",
        "envoy",
        "-f",
        "manifold.yaml",
        "--body-mode",
        "buffered",
        "--processor",
        "127.0.0.1:9002",
    ];
    let buffered = run(folder.path(), &[], &arguments).await;
    assert_eq!(buffered.code, Some(0), "{}", buffered.err);
    assert!(
        buffered.out.contains(key.trim()) && buffered.out.contains("BUFFERED"),
        "{}",
        buffered.out
    );
    assert!(buffered.out.contains("port_value: 9002"), "{}", buffered.out);
}
