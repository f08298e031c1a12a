//! Kuadrant's guide "MCP Server Registration", command by command.

use super::script::{Adaptation, bare_commands, guide, run};
use crate::kube::harness::gateway::programmed;
use crate::kube::harness::install::{self, Processor};
use crate::kube::harness::kubectl::kubectl;
use crate::kube::harness::namespace::Namespace;
use serde_json::Value;
use tempfile::TempDir;

const GUIDE: &str = "kuadrant-mcp-server-registration.md";

/// Everything that is not run as it stands.
const ADAPTATIONS: &[Adaptation] = &[
    Adaptation {
        text: "namespace: gateway-system",
        instead: "namespace: GATEWAY_SYSTEM",
        because: "tests do not share Gateways",
    },
    Adaptation {
        text: "namespace: mcp-test",
        instead: "namespace: MCP_TEST",
        because: "tests do not share namespaces",
    },
    Adaptation {
        text: "namespace: \"mcp-test\"",
        instead: "namespace: \"MCP_TEST\"",
        because: "tests do not share namespaces",
    },
    Adaptation {
        text: "-n mcp-test",
        instead: "-n MCP_TEST",
        because: "tests do not share namespaces",
    },
    Adaptation {
        text: "http://mcp.127-0-0-1.sslip.io:8001/mcp",
        instead: "--connect-to mcp.127-0-0-1.sslip.io:8001:ADDRESS http://mcp.127-0-0-1.sslip.io:8001/mcp",
        because: "the port of the guide's cluster on its machine: here the Gateway's own address",
    },
];

/// What the guide asks for before it begins: Gateway, its listeners, a server in the cluster.
const BEFORE: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: mcp-gateway, namespace: NAMESPACE }
spec:
  gatewayClassName: eg
  infrastructure:
    parametersRef: { group: gateway.envoyproxy.io, kind: EnvoyProxy, name: mcp-manifold-mcp-gateway }
  listeners:
    - name: mcp
      hostname: mcp.127-0-0-1.sslip.io
      port: 8080
      protocol: HTTP
      allowedRoutes: { namespaces: { from: All } }
    - name: mcps
      hostname: '*.mcp.local'
      port: 8080
      protocol: HTTP
      allowedRoutes: { namespaces: { from: All } }
";

#[tokio::test]
async fn the_guide_of_kuadrant_works_command_by_command() {
    let system = Namespace::new("gateway-system").await;
    let test = Namespace::new("mcp-test").await;
    install::processors(&system.name, "mcp-gateway", Processor::Sidecar).await;
    system.apply(BEFORE).await;
    test.fixture("mcp-test-server1", &["--tools", "5", "--bare"]).await;
    let address = programmed(&system.name, "mcp-gateway", 8080).await.to_string();
    let values = [
        ("GATEWAY_SYSTEM", system.name.as_str()),
        ("MCP_TEST", test.name.as_str()),
        ("ADDRESS", address.as_str()),
    ];
    let text = guide(GUIDE, ADAPTATIONS, &values);
    let (before, curls) = text.split_once("Step 5:").expect("the guide has five steps");
    let folder = TempDir::new().expect("a folder");

    let commands = bare_commands(before, &["kubectl"]);
    assert_eq!(commands.len(), 8, "{commands:#?}");
    let mut table = String::new();
    for command in &commands {
        let said = run(command, folder.path()).await;
        if command.starts_with("kubectl get mcpsr -A") {
            table = said.out;
        }
    }
    let shown = example(before);
    let real = rows(&table);
    let ours: Vec<&Row> = real.iter().filter(|row| row.namespace == test.name).collect();
    assert_eq!(
        real_header(&table),
        real_header(&shown),
        "the columns of the guide's table"
    );
    let [row] = ours[..] else {
        panic!("one registration: {table}")
    };
    let [wanted] = &rows(&shown)[..] else {
        panic!("one line in the guide: {shown}")
    };
    assert_eq!(row.cells, wanted.cells, "the line of the guide's table: {table}");

    let flow = bare_commands(curls, &["curl", "SESSION_ID", "echo", "rm"]).concat();
    let said = run(&flow, folder.path()).await;
    assert!(said.out.contains("MCP Session ID: m"), "{}", said.out);
    let list = said
        .out
        .lines()
        .rfind(|line| line.contains("\"tools\""))
        .unwrap_or_default();
    let list: Value = serde_json::from_str(list.trim_start_matches("data: ")).unwrap_or_default();
    let names = crate::e2e::harness::client::names(&list["result"]["tools"]);
    assert_eq!(names.len(), 5, "{}", said.out);
    assert!(names.iter().all(|name| name.starts_with("myserver_")), "{names:?}");

    // The guide's words: its registration is enough to see why something is wrong.
    let described = kubectl(&["describe", "mcpsr", "my-mcp-server", "-n", &test.name]).await;
    assert!(described.contains("Ready"), "{described}");
}

/// The table that the guide shows.
fn example(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("NAMESPACE "));
    lines.take(2).collect::<Vec<_>>().join("\n")
}

fn real_header(table: &str) -> Vec<&str> {
    table.lines().next().unwrap_or_default().split_whitespace().collect()
}

/// A line of the table, without namespace and age.
#[derive(Debug)]
struct Row {
    namespace: String,
    cells: Vec<String>,
}

fn rows(table: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut cells: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        cells.pop();
        let namespace = if cells.is_empty() {
            String::new()
        } else {
            cells.remove(0)
        };
        Row { namespace, cells }
    };
    table.lines().skip(1).map(row).collect()
}
