//! The admin port over real sockets.

use mcp_manifold::edge::admin::{Gateway, run};
use mcp_manifold::engine::mcp::Era;
use mcp_manifold::engine::policy::{Explained, Question};
use mcp_manifold::engine::status::{GatewayStatus, Reason, Tool, ToolList, UpstreamStatus};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Scripted {
    missing: Vec<String>,
}

impl Gateway for Scripted {
    fn missing(&self) -> Vec<String> {
        self.missing.clone()
    }

    fn status(&self) -> GatewayStatus {
        GatewayStatus {
            version: "0.1.0".into(),
            ready: self.missing.is_empty(),
            generation: 7,
            sessions: 12,
            config_error: None,
            state_errors: Vec::new(),
            upstreams: vec![mk_upstream()],
            issuers: Vec::new(),
        }
    }

    fn tools(&self) -> ToolList {
        let tool = Tool {
            name: "github_search".into(),
            upstream: "github".into(),
            upstream_name: "search".into(),
            eras: vec![Era::Legacy],
            description: None,
        };
        ToolList { tools: vec![tool] }
    }

    fn explain(&self, question: &Question) -> Result<Explained, String> {
        match question.tool.as_deref() {
            Some("github_search") => Ok(Explained {
                verdict: "allowed".into(),
                rule: None,
                message: None,
                steps: Vec::new(),
            }),
            Some(_) | None => Err("no such tool".into()),
        }
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }
}

fn mk_upstream() -> UpstreamStatus {
    UpstreamStatus {
        name: "github".into(),
        prefix: "github_".into(),
        url: "https://mcp.github.example/mcp".into(),
        enabled: true,
        ready: true,
        reason: Reason::Ready,
        eras: vec![Era::Legacy],
        protocol_version: None,
        tools: 26,
        prompts: 2,
        resources: 0,
        last_listed: Some("2026-11-20T10:00:00Z".into()),
        last_error: None,
        warnings: Vec::new(),
    }
}

/// A running admin port; ends with [`Port::end`].
pub(super) struct Port {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Port {
    pub(super) async fn start(bind: &str, missing: &[&str], token: Option<&'static str>) -> Self {
        let listener = TcpListener::bind((bind, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let missing = missing.iter().map(|line| (*line).to_owned()).collect();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or_default() };
            run(listener, Arc::new(Scripted { missing }), token, shutdown).await
        });
        Self { address, stop, task }
    }

    pub(super) async fn ready() -> Self {
        Self::start("127.0.0.1", &[], None).await
    }

    async fn get(&self, path: &str) -> Response {
        self.get_with(path, &format!("host: {}\r\n", self.address)).await
    }

    async fn get_with(&self, path: &str, headers: &str) -> Response {
        let mut stream = TcpStream::connect(("127.0.0.1", self.address.port()))
            .await
            .expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("answered");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        Response {
            status: head[9..12].parse().expect("a status"),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(super) async fn end(self) {
        self.stop.send(()).expect("running");
        self.task.await.expect("no panic").expect("served");
    }
}

#[tokio::test]
async fn status_is_the_json_of_the_contract() {
    let port = Port::ready().await;
    let response = port.get("/status").await;
    assert_eq!(
        response.body,
        concat!(
            r#"{"version":"0.1.0","ready":true,"generation":7,"sessions":12,"upstreams":[{"name":"github","#,
            r#""prefix":"github_","url":"https://mcp.github.example/mcp","enabled":true,"ready":true,"reason":"Ready","#,
            r#""eras":["legacy"],"protocolVersion":null,"tools":26,"prompts":2,"resources":0,"#,
            r#""lastListed":"2026-11-20T10:00:00Z","lastError":null,"warnings":[]}]}"#
        )
    );
    assert!(response.head.contains("content-type: application/json"));
    assert!(response.head.contains("cache-control: no-store"));
    port.end().await;
}

#[tokio::test]
async fn tools_say_where_they_come_from() {
    let port = Port::ready().await;
    assert_eq!(
        port.get("/tools").await.body,
        r#"{"tools":[{"name":"github_search","upstream":"github","upstreamName":"search","eras":["legacy"],"description":null}]}"#
    );
    port.end().await;
}

#[tokio::test]
async fn a_ready_gateway_says_so_everywhere() {
    let port = Port::ready().await;
    assert_eq!(port.get("/healthz").await.status, 200);
    assert_eq!(port.get("/readyz").await.status, 200);
    assert!(port.get("/").await.body.contains("<title>Ready"));
    let metrics = port.get("/metrics").await;
    assert!(
        metrics
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    assert_eq!(metrics.body, "# EOF\n");
    assert_eq!(port.get("/none").await.status, 404);
    port.end().await;
}

#[tokio::test]
async fn readiness_says_what_is_missing_a_line_each() {
    let port = Port::start("127.0.0.1", &["github: not listed yet", "envoy: not seen"], None).await;
    let response = port.get("/readyz").await;
    assert_eq!(response.status, 503);
    assert_eq!(response.body, "github: not listed yet\nenvoy: not seen\n");
    assert_eq!(port.get("/healthz").await.status, 200, "alive is not ready");
    port.end().await;
}

#[tokio::test]
async fn a_rebound_name_is_refused_on_loopback() {
    let port = Port::ready().await;
    for host in ["evil.example", "evil.example:8002", "127.0.0.1.evil.example", "[", ""] {
        let response = port.get_with("/status", &format!("host: {host}\r\n")).await;
        assert!(matches!(response.status, 400 | 403), "{host:?}: {}", response.status);
        assert!(!response.body.contains("github"));
    }
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8002"] {
        assert_eq!(
            port.get_with("/status", &format!("host: {host}\r\n")).await.status,
            200,
            "{host}"
        );
    }
    port.end().await;
}

#[tokio::test]
async fn with_a_token_only_health_and_readiness_are_open() {
    let port = Port::start("127.0.0.1", &["github: not listed yet"], Some("s3cret")).await;
    for path in ["/", "/status", "/tools", "/metrics", "/none"] {
        let response = port.get(path).await;
        assert_eq!(response.status, 401, "{path}");
        assert!(response.head.contains("www-authenticate: bearer"), "{path}");
    }
    assert_eq!(port.get("/healthz").await.status, 200);
    let ready = port.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.body.as_str()),
        (503, "not ready\n"),
        "no names for strangers"
    );

    for authorization in ["Bearer s3cret", "Basic YWRtaW46czNjcmV0"] {
        let headers = format!("host: localhost\r\nauthorization: {authorization}\r\n");
        assert_eq!(port.get_with("/status", &headers).await.status, 200, "{authorization}");
        assert_eq!(
            port.get_with("/readyz", &headers).await.body,
            "github: not listed yet\n"
        );
    }
    let wrong = "host: localhost\r\nauthorization: Bearer s3cre\r\n";
    assert_eq!(port.get_with("/status", wrong).await.status, 401);
    port.end().await;
}

#[tokio::test]
async fn off_loopback_the_token_decides_and_not_the_name() {
    let port = Port::start("0.0.0.0", &[], Some("s3cret")).await;
    let headers = "host: gateway.example\r\nauthorization: Bearer s3cret\r\n";
    assert_eq!(port.get_with("/status", headers).await.status, 200);
    port.end().await;
}

#[tokio::test]
async fn the_page_is_locked_against_foreign_content() {
    let port = Port::ready().await;
    let page = port.get("/").await;
    assert!(page.head.contains("content-security-policy: default-src 'none';"));
    assert!(page.head.contains("x-content-type-options: nosniff"));
    port.end().await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_idle_connections() {
    let port = Port::ready().await;
    let idle = TcpStream::connect(port.address).await.unwrap();
    port.end().await;
    drop(idle);
}
