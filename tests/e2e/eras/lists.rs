//! Lists across eras: every client sees the items of every upstream.

use crate::e2e::harness::client::{Client, modern, names};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::program::Program;
use crate::e2e::tools;
use serde_json::{Value, json};
use std::process::Command;

/// An upstream of one era with three tools.
async fn fixture(era: &str) -> (Program, String) {
    let mut program =
        Program::start(Command::new(tools::example("upstream")).args(["--bare", "--tools", "3", "--eras", era]));
    let url = program.says("listening ").await;
    (program, url)
}

async fn one_of_each() -> (Vec<Program>, Gateway) {
    let (old_program, old) = fixture("legacy").await;
    let (new_program, new) = fixture("modern").await;
    let gateway = Setup::new().upstream("old", &old).upstream("new", &new).up().await;
    (vec![old_program, new_program], gateway)
}

async fn status_of(gateway: &Gateway, name: &str) -> Value {
    let listed = |row: &Value| row["eras"].as_array().is_some_and(|eras| !eras.is_empty());
    gateway.until_upstream(name, "is listed", listed).await;
    gateway.upstream(name).await
}

#[tokio::test]
async fn clients_of_either_era_see_the_items_of_upstreams_of_both() {
    let (_programs, gateway) = one_of_each().await;
    let expected = ["old_generated_0", "old_generated_1", "old_generated_2"];
    let expected: Vec<String> = expected
        .iter()
        .flat_map(|name| [(*name).to_owned()])
        .chain(expected.iter().map(|name| name.replace("old_", "new_")))
        .collect();
    let legacy = Client::connect(gateway.address)
        .await
        .rpc("tools/list", &json!({}))
        .await;
    let modern = modern(1, "tools/list", &json!({}))
        .send(gateway.address)
        .await
        .message();
    assert_eq!(names(&legacy["result"]["tools"]), expected);
    assert_eq!(names(&modern["result"]["tools"]), expected);
    assert_eq!(
        legacy["result"].as_object().map(serde_json::Map::len),
        Some(1),
        "nothing of the modern envelope: {legacy}"
    );
    let envelope = ["resultType", "ttlMs", "cacheScope"].map(|key| modern["result"][key].clone());
    assert_eq!(
        envelope,
        [json!("complete"), json!(0), json!("private")],
        "a legacy upstream promises nothing"
    );
}

#[tokio::test]
async fn status_says_which_era_an_upstream_speaks_and_warns_of_nothing() {
    let (_programs, gateway) = one_of_each().await;
    for (name, era) in [("old", "legacy"), ("new", "modern")] {
        let row = status_of(&gateway, name).await;
        assert_eq!(row["eras"], json!([era]), "{row}");
        assert_eq!(row["warnings"], json!([]), "{row}");
    }
}

#[tokio::test]
async fn what_the_gateway_says_of_itself_holds_for_upstreams_of_either_era() {
    let (_programs, gateway) = one_of_each().await;
    let discover = modern(1, "server/discover", &json!({}))
        .send(gateway.address)
        .await
        .message();
    let capabilities = &discover["result"]["capabilities"];
    assert!(capabilities["tools"].is_object(), "{discover}");
    assert!(
        capabilities.get("tasks").is_none(),
        "tasks of 2025-11-25 are not for modern clients: {discover}"
    );
    let hello = crate::e2e::harness::client::initialize("2025-11-25", &json!({}));
    let hello = hello.send(gateway.address).await.message();
    let capabilities = &hello["result"]["capabilities"];
    assert!(capabilities["tools"].is_object(), "{hello}");
    assert!(capabilities.get("extensions").is_none(), "{hello}");
}
