//! Merged lists: complete, in order, and no slower for a bad upstream.

use crate::e2e::harness::client::{Request, modern, names, rpc};
use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{Act, Puppet};
use crate::e2e::tools;
use serde_json::json;
use std::process::Command;
use std::time::Instant;

async fn fixture(arguments: &[&str]) -> (Program, String) {
    let mut program = Program::start(Command::new(tools::example("upstream")).args(arguments));
    let url = program.says("listening ").await;
    (program, url)
}

#[tokio::test]
async fn every_page_is_fetched_and_the_order_is_that_of_configuration_and_upstream() {
    let (_big, big) = fixture(&["--bare", "--tools", "50", "--page", "7"]).await;
    let puppet = Puppet::start(&["zeta", "alpha"]).await;
    let gateway = Setup::new().upstream("big", &big).puppet("a", &puppet).up().await;
    let mut expected: Vec<String> = (0..50).map(|number| format!("big_generated_{number}")).collect();
    expected.extend(["a_zeta".to_owned(), "a_alpha".to_owned()]);
    let first = gateway.client().await.tools().await;
    assert_eq!(first, expected);
    assert_eq!(gateway.client().await.tools().await, first, "the same for everybody");
}

#[tokio::test]
async fn a_cursor_that_does_not_advance_ends_the_list_with_a_warning() {
    let (_odd, odd) = fixture(&["--page", "3", "--endless"]).await;
    let gateway = Setup::new().upstream("odd", &odd).up().await;
    gateway
        .until_upstream("odd", "warns", |row| {
            !row["warnings"].as_array().is_none_or(Vec::is_empty)
        })
        .await;
    let tools = gateway.client().await.tools().await;
    assert!(tools.contains(&"odd_test_simple_text".to_owned()), "{tools:?}");
    let mut unique = tools.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), tools.len(), "no item twice");
}

#[tokio::test]
async fn every_kind_of_list_is_merged_in_both_eras() {
    let (_one, one) = fixture(&["--name", "one"]).await;
    let (_two, two) = fixture(&["--name", "two"]).await;
    let gateway = Setup::new().upstream("one", &one).upstream("two", &two).up().await;
    let client = gateway.client().await;
    for (method, key) in [
        ("tools/list", "tools"),
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ] {
        let legacy = client.rpc(method, &json!({})).await;
        let modern = modern(1, method, &json!({})).send(gateway.address).await.message();
        let items = legacy["result"][key]
            .as_array()
            .unwrap_or_else(|| panic!("{method}: {legacy}"));
        assert!(!items.is_empty(), "{method}: {legacy}");
        assert_eq!(names(&legacy["result"][key]), names(&modern["result"][key]), "{method}");
        assert_eq!(modern["result"]["resultType"], "complete", "{method}: {modern}");
        assert!(modern["result"]["ttlMs"].is_u64(), "{method}: {modern}");
        assert!(modern["result"]["cacheScope"].is_string(), "{method}: {modern}");
    }
    let tools = client.tools().await;
    assert!(
        tools.contains(&"one_greet".to_owned()) && tools.contains(&"two_greet".to_owned()),
        "{tools:?}"
    );
}

#[tokio::test]
async fn prompts_resources_and_completions_reach_their_owner() {
    let (_one, one) = fixture(&["--name", "one"]).await;
    let puppet = Puppet::start(&["other"]).await;
    let gateway = Setup::new().puppet("first", &puppet).upstream("one", &one).up().await;
    let client = gateway.client().await;
    let prompt = client
        .rpc("prompts/get", &json!({"name": "one_test_simple_prompt"}))
        .await;
    assert!(prompt["result"]["messages"].is_array(), "{prompt}");
    let resource = client
        .rpc("resources/read", &json!({"uri": "test://static-text"}))
        .await;
    assert_eq!(
        resource["result"]["contents"][0]["uri"], "test://static-text",
        "{resource}"
    );
    let by_template = client
        .rpc("resources/read", &json!({"uri": "test://template/7/data"}))
        .await;
    assert!(by_template["result"]["contents"].is_array(), "{by_template}");
    let argument = json!({"name": "arg1", "value": "par"});
    let reference = json!({"type": "ref/prompt", "name": "one_test_prompt_with_arguments"});
    let completion = client
        .rpc("completion/complete", &json!({"ref": reference, "argument": argument}))
        .await;
    assert_eq!(completion["result"]["completion"]["values"][0], "paris", "{completion}");
}

#[tokio::test]
async fn a_list_does_not_wait_for_an_upstream_that_hangs() {
    let (good, bad) = (Puppet::start(&["good"]).await, Puppet::start(&["bad"]).await);
    bad.play(|_| Some(Act::Hang));
    let setup = Setup::new()
        .puppet("good", &good)
        .puppet("bad", &bad)
        .with("lists: { first: 500ms }");
    let gateway = setup.up().await;
    assert!(gateway.ready.contains("1/2 upstreams  1 tools"), "{}", gateway.ready);
    assert_eq!(gateway.client().await.tools().await, ["good_good"]);
}

/// The figure of the issue is 2 s on an idle machine with an optimised build; here it must only be of that order.
#[tokio::test]
async fn fifty_upstreams_are_ready_soon() {
    let mut puppets = Vec::new();
    for _ in 0..50 {
        puppets.push(Puppet::start(&["echo", "other"]).await);
    }
    let setup = puppets
        .iter()
        .enumerate()
        .fold(Setup::new(), |setup, (number, puppet)| {
            setup.puppet(&format!("up{number}"), puppet)
        });
    let begun = Instant::now();
    let gateway = setup.up().await;
    let elapsed = begun.elapsed();
    println!("50 upstreams: ready after {elapsed:?}");
    assert!(
        gateway.ready.contains("50/50 upstreams  100 tools"),
        "{}",
        gateway.ready
    );
    assert!(elapsed.as_secs() < 10, "{elapsed:?}");
    let list = Request::post(rpc(1, "tools/list", &json!({})))
        .send(gateway.address)
        .await
        .message();
    assert_eq!(names(&list["result"]["tools"]).len(), 100);
}
