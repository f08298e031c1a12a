//! `explain` and `/explain`: which rule decides, and why.

use crate::e2e::harness::gateway::Setup;
use crate::e2e::harness::puppet::Puppet;
use serde_json::json;

const RULES: &str = r#"policies:
  rules:
    - { name: no-deletes, deny: "tool.name.endsWith('_delete') && !('admin' in roles)" }
    - { name: small-payments, deny: "tool.name == 'bank_pay' && arguments.amount > 100", message: "Too much" }
    - { name: step-up, require: { scopes: [mcp:admin] }, when: "tool.name == 'bank_close'" }
"#;

#[tokio::test]
async fn the_command_says_which_rule_decides() {
    let puppet = Puppet::start(&["pay", "close", "delete"]).await;
    let gateway = Setup::new().with(RULES).puppet("bank", &puppet).up().await;
    let admin = gateway.admin.to_string();
    let explain = |arguments: &[&str]| {
        let mut all = vec!["explain", "--admin", admin.as_str()];
        all.extend_from_slice(arguments);
        let output = gateway.setup.command(&all).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, text, error) = explain(&["--user", "ann", "--tool", "bank_delete"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("no-deletes") && text.contains("hidden"), "{text}");
    let admins = r#"{"sub":"ann","roles":["admin"],"scope":"mcp:tools"}"#;
    let (_, text, _) = explain(&["--user", admins, "--tool", "bank_delete", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["verdict"], "allowed", "{text}");
    let (_, text, _) = explain(&["--tool", "bank_pay", "--arguments", r#"{"amount":500}"#]);
    assert!(text.contains("denied (small-payments): Too much"), "{text}");
    let (_, text, _) = explain(&["--user", admins, "--tool", "bank_close"]);
    assert!(text.contains("more scopes are needed (step-up): mcp:admin"), "{text}");
    let (_, text, _) = explain(&["--method", "ping"]);
    assert!(text.contains("allowed (no rule)"), "{text}");
    let (code, _, error) = explain(&["--tool", "nobody"]);
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(explain(&[]).0, Some(2), "wrong usage");
    let client = gateway.client().await;
    assert_eq!(
        client.call("bank_delete", &json!({})).await["error"]["code"],
        -32602,
        "as explained"
    );
}

#[tokio::test]
async fn rules_can_be_tried_without_a_gateway() {
    let puppet = Puppet::start(&["pay", "delete"]).await;
    let gateway = Setup::new().puppet("bank", &puppet).up().await;
    crate::e2e::harness::eventually("the catalog is kept", async || {
        let kept = std::fs::read_dir(gateway.setup.folder.path().join("state/catalogs"));
        kept.is_ok_and(|mut files| files.next().is_some())
    })
    .await;
    let setup = gateway.kill().with(RULES);
    setup.write();
    let file = setup.file().display().to_string();
    let explain = |arguments: &[&str]| {
        let mut all = vec!["explain", "--offline", "-f", file.as_str()];
        all.extend_from_slice(arguments);
        let output = setup.command(&all).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, text, error) = explain(&["--user", "ann", "--tool", "bank_delete"]);
    assert_eq!(code, Some(0), "a tool that was listed last: {error}");
    assert!(text.contains("hidden") && text.contains("no-deletes"), "{text}");
    let (code, _, error) = explain(&["--tool", "bank_close"]);
    assert_eq!(code, Some(1), "never listed: {error}");
    let (_, text, error) = explain(&["--tool", "bank_close", "--annotations", "{}"]);
    assert!(
        text.contains("more scopes are needed (step-up): mcp:admin"),
        "{text}{error}"
    );
}
