//! `envoy/from-krakend.md`: its files are valid, and its example does what it says.

use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::http;
use crate::e2e::harness::puppet::Puppet;
use crate::e2e::tools;
use mcp_manifold::engine::config::file;
use std::path::Path;
use std::process::Command;

const SERVER: &str = "https://third-party-mcp-server.local/mcp";

/// The code blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let guide = std::fs::read_to_string(tools::source("envoy/from-krakend.md")).expect("readable");
    let opening = format!("```{language}\n");
    let after = guide.split(&opening).skip(1);
    after
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

/// A file of the guide, with this server in place of the one that is nowhere; further lines of the test's own.
async fn serve(text: &str, puppet: &Puppet) -> Gateway {
    let own = text
        .replace(SERVER, &puppet.url())
        .replace("listen: 127.0.0.1:8001", "listen: 127.0.0.1:0");
    let (top, upstreams) = own.split_once("upstreams:\n").expect("every file names its servers");
    Setup::new().with(top).with_upstreams(upstreams).up().await
}

#[test]
fn every_file_of_the_guide_is_valid() {
    let files = blocks("yaml");
    assert_eq!(files.len(), 2, "the example, and all that can stand around it");
    for text in files {
        let read = file::parse(&text, Path::new("/base"), Path::new("/state"));
        assert!(read.is_ok(), "{read:?}\n{text}");
    }
}

#[tokio::test]
async fn the_example_does_what_the_guide_says() {
    let puppet = Puppet::start(&["echo"]).await;
    let files = blocks("yaml");
    let gateway = serve(files.first().expect("the example"), &puppet).await;
    puppet.forget_requests();
    let [commands] = blocks("sh").try_into().expect("one block of commands");
    let curl = commands
        .lines()
        .find(|line| line.starts_with("curl "))
        .expect("a request");
    let curl = curl.replace("127.0.0.1:8001", &gateway.address.to_string());
    let run = tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(curl).output());
    let output = run.await.expect("it does not panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(r#""serverInfo""#), "{output:?}");
    let seen = puppet.posted("initialize").pop().expect("it arrived");
    assert_eq!(seen.header("headerneededbyyourmcp"), Some("x"));
    assert_eq!(seen.header("user-agent"), None, "nothing that was not listed");
    for verb in ["GET", "DELETE"] {
        let request =
            format!("{verb} /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nmcp-session-id: s\r\nconnection: close\r\n\r\n");
        http::exchange(gateway.address, request.as_bytes())
            .await
            .expect("the server's answer");
        assert_eq!(puppet.with_verb(verb).len(), 1, "{verb} reaches the server");
    }
}
