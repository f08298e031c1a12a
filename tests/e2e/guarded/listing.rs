//! Upstreams that show every caller something else: `listing: perPrincipal`.

mod shown;
mod troubles;

use crate::e2e::harness::client::{Request, initialize, modern, names, rpc};
use crate::e2e::harness::gateway::{Gateway, Setup};
use crate::e2e::harness::program::Program;
use crate::e2e::harness::puppet::{Act, Puppet, Seen, tool};
use crate::e2e::tools;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::process::Command;

/// What tells callers apart at the upstream.
const OWN: &str = "listing: perPrincipal, headers: { x-user: '{principal}' }";

/// Callers are known by their keys, which are their names; nobody has to have one.
fn setup(callers: &[&str]) -> Setup {
    let setup =
        Setup::new().with("authentication: { required: false, apiKeys: { header: x-api-key, file: keys.yaml } }");
    let keys = callers.iter().fold(String::new(), |mut text, name| {
        let _ = writeln!(text, "- {{ name: {name}, sha256: {} }}", hex(name));
        text
    });
    std::fs::write(setup.folder.path().join("keys.yaml"), keys).expect("written");
    setup
}

fn hex(name: &str) -> String {
    Sha256::digest(name).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A real server that has something for each of these.
async fn fixture(visitors: &[&str], more: &[&str]) -> (Program, String) {
    let mut command = Command::new(tools::example("upstream"));
    command.arg("--bare").args(more);
    for visitor in visitors {
        command.args(["--visitor", visitor]);
    }
    let mut program = Program::start(&mut command);
    let url = program.says("listening ").await;
    (program, url)
}

/// Somebody who calls, or nobody.
struct Caller<'a> {
    gateway: &'a Gateway,
    name: Option<&'a str>,
    /// Empty: none.
    session: String,
}

impl<'a> Caller<'a> {
    /// Without a session.
    const fn new(gateway: &'a Gateway, name: Option<&'a str>) -> Self {
        Self {
            gateway,
            name,
            session: String::new(),
        }
    }

    async fn connect(gateway: &'a Gateway, name: Option<&'a str>) -> Self {
        let mut caller = Self::new(gateway, name);
        let begun = caller.send(initialize("2025-11-25", &json!({}))).await;
        caller.session = begun.header("mcp-session-id").expect("a session").to_owned();
        caller
    }

    async fn send(&self, request: Request) -> crate::e2e::harness::http::Response {
        self.dressed(request).send(self.gateway.address).await
    }

    fn dressed(&self, request: Request) -> Request {
        // Not a client's to set.
        let request = request.with("x-user", "root");
        match self.name {
            Some(name) => request.with("x-api-key", name),
            None => request,
        }
    }

    /// The message that answers a legacy request.
    async fn rpc(&self, method: &str, params: &Value) -> Value {
        let request = Request::post(rpc(7, method, params)).with("mcp-protocol-version", "2025-11-25");
        let request = match self.session.as_str() {
            "" => request,
            session => request.session(session),
        };
        self.send(request).await.message()
    }

    /// The message that answers a modern one.
    async fn modern(&self, method: &str, params: &Value) -> Value {
        self.send(modern(7, method, params)).await.message()
    }

    /// As a legacy client sees them, and as a modern one does: the same.
    async fn list(&self, method: &str, member: &str) -> Vec<String> {
        let (legacy, modern) = (
            self.rpc(method, &json!({})).await,
            self.modern(method, &json!({})).await,
        );
        let key = |item: &Value| {
            let key = ["uri", "uriTemplate", "name"]
                .into_iter()
                .find_map(|key| item[key].as_str());
            key.unwrap_or_default().to_owned()
        };
        let all = |message: &Value| -> Vec<String> {
            let items = message["result"][member].as_array();
            items.unwrap_or_else(|| panic!("{message}")).iter().map(key).collect()
        };
        assert_eq!(all(&legacy), all(&modern), "{method} for {:?}", self.name);
        all(&legacy)
    }

    async fn tools(&self) -> Vec<String> {
        names(&self.rpc("tools/list", &json!({})).await["result"]["tools"])
    }

    async fn call(&self, name: &str) -> Value {
        self.rpc("tools/call", &json!({"name": name, "arguments": {}})).await
    }
}

/// What was refused, as unknown.
fn assert_unknown(message: &Value, what: &str) {
    assert_eq!(message["error"]["code"], -32602, "{what}: {message}");
    let text = message["error"]["message"].as_str().unwrap_or_default();
    assert!(text.starts_with("Unknown ") && text.contains(what), "{what}: {message}");
}
