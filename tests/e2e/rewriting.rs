//! `resources.rewrite`: two servers with the same URIs behind one endpoint, each reachable.

use super::harness::client::{Client, Request, modern};
use super::harness::gateway::{Gateway, Setup};
use super::harness::puppet::Puppet;
use super::harness::stream::Stream;
use super::process::{Running, everything};
use serde_json::{Value, json};

const REWRITE: &str = "resources: { rewrite: true }";
const DYNAMIC: &str = "demo://one/resource/dynamic/text/2";

/// Two of the reference server, `one` and `two`.
async fn twins() -> ([Running; 2], Gateway) {
    let ((one, first), (two, second)) = (everything(), everything());
    let setup = Setup::new()
        .upstream_with("one", &first, REWRITE)
        .upstream_with("two", &second, REWRITE);
    ([one, two], setup.up().await)
}

fn all<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item[key].as_str().expect("it has its key")).collect()
}

#[tokio::test]
async fn what_two_servers_have_in_common_is_listed_and_read_of_each() {
    let (_servers, gateway) = twins().await;
    let client = gateway.client().await;
    let listed = client.rpc("resources/list", &json!({})).await;
    let uris = all(&listed["result"]["resources"], "uri");
    let of = |name: &str| -> Vec<String> {
        let begin = format!("demo://{name}/");
        let own = uris.iter().filter_map(|uri| uri.strip_prefix(&begin));
        own.map(|rest| format!("demo://{rest}")).collect()
    };
    assert!(!of("one").is_empty() && of("one") == of("two"), "{uris:?}");
    assert_eq!(uris.len(), 2 * of("one").len(), "nothing is hidden: {uris:?}");
    let templates = client.rpc("resources/templates/list", &json!({})).await;
    let templates = all(&templates["result"]["resourceTemplates"], "uriTemplate");
    assert!(
        templates.contains(&"demo://two/resource/dynamic/text/{resourceId}"),
        "{templates:?}"
    );
    for (uri, own) in [(DYNAMIC, "demo://resource/dynamic/text/2"), (uris[0], &of("one")[0])] {
        let read = client.rpc("resources/read", &json!({"uri": uri})).await;
        assert_eq!(
            read["result"]["contents"][0]["uri"], own,
            "what is read is the server's: {read}"
        );
        let read = modern(4, "resources/read", &json!({"uri": uri}))
            .send(gateway.address)
            .await;
        assert_eq!(read.message()["result"]["contents"][0]["uri"], own, "{read:?}");
    }
    let reference = json!({"type": "ref/resource", "uri": "demo://two/resource/dynamic/text/{resourceId}"});
    let params = json!({"ref": reference, "argument": {"name": "resourceId", "value": "2"}});
    let completed = client.rpc("completion/complete", &params).await;
    assert!(completed["result"]["completion"]["values"].is_array(), "{completed}");
    let warnings = gateway.upstream("two").await["warnings"].to_string();
    assert!(!warnings.contains("hidden"), "{warnings}");
}

#[tokio::test]
async fn a_link_is_found_while_only_one_server_can_mean_it() {
    let (_server, url) = everything();
    let puppet = Puppet::start(&["echo"]).await;
    let setup = Setup::new()
        .upstream_with("one", &url, REWRITE)
        .puppet("other", &puppet);
    let gateway = setup.up().await;
    let client = gateway.client().await;
    let answer = client.call("one_get-resource-links", &json!({"count": 2})).await;
    let link = answer["result"]["content"][1]["uri"].as_str().expect("a link");
    assert!(
        link.starts_with("demo://resource/"),
        "it stays as the server wrote it: {answer}"
    );
    let read = client.rpc("resources/read", &json!({"uri": link})).await;
    assert_eq!(read["result"]["contents"][0]["uri"], link, "{read}");
    let refused = client.rpc("resources/subscribe", &json!({"uri": link})).await;
    assert_eq!(refused["error"]["code"], -32002, "{refused}");

    let (_servers, gateway) = twins().await;
    let client = gateway.client().await;
    let refused = client.rpc("resources/read", &json!({"uri": link})).await;
    assert_eq!(refused["error"]["code"], -32002, "of which server? {refused}");
}

/// The session's own stream.
async fn listen(client: &Client) -> Stream {
    let get = Request::bare("GET")
        .with("accept", "text/event-stream")
        .session(&client.session)
        .with("mcp-protocol-version", "2025-11-25");
    Stream::open(client.address, &get).await
}

#[tokio::test]
async fn updates_bear_the_uri_that_was_subscribed_to() {
    let (_servers, gateway) = twins().await;
    let client = gateway.client().await;
    let mut stream = listen(&client).await;
    for uri in [DYNAMIC, "demo://two/resource/dynamic/text/4"] {
        let answer = client.rpc("resources/subscribe", &json!({"uri": uri})).await;
        assert_eq!(answer["result"], json!({}), "{answer}");
    }
    for (server, uri) in [("two", "demo://two/resource/dynamic/text/4"), ("one", DYNAMIC)] {
        client
            .text_of(&format!("{server}_toggle-subscriber-updates"), &json!({}))
            .await;
        let updated = loop {
            let message = stream.message().await;
            if message["method"] == "notifications/resources/updated" {
                break message;
            }
        };
        assert_eq!(updated["params"]["uri"], uri, "{updated}");
        client
            .text_of(&format!("{server}_toggle-subscriber-updates"), &json!({}))
            .await;
    }
    // A modern client of the same, older servers.
    let filter = json!({"notifications": {"resourceSubscriptions": [DYNAMIC, "demo://resource/dynamic/text/2"]}});
    let mut stream = Stream::open(gateway.address, &modern(9, "subscriptions/listen", &filter)).await;
    let first = stream.message().await;
    assert_eq!(
        first["params"]["notifications"]["resourceSubscriptions"],
        json!([DYNAMIC]),
        "{first}"
    );
}
