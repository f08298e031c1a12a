//! A controller's registry on a free port, processors that follow it, and what each hears.

use super::pki::{Authority, mount};
use mcp_manifold::edge::registry::{Assigned, Follower, Identity, Registry, serve};
use mcp_manifold::engine::assignment::{Assignment, Endpoint, Told};
use mcp_manifold::engine::config;
use mcp_manifold::engine::status::{Reason, UpstreamStatus};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A controller and what it hears.
pub(super) struct Room {
    pub(super) registry: Registry,
    pub(super) authority: Authority,
    pub(super) identity: watch::Sender<Identity>,
    pub(super) address: SocketAddr,
    pub(super) folder: TempDir,
    told: mpsc::UnboundedReceiver<(Arc<str>, Told)>,
    heard: Vec<Told>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Room {
    /// A controller that leads.
    pub(super) async fn new() -> Self {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (registry, told) = Registry::new();
        registry.lead();
        let identity = watch::Sender::new(authority.server());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(run(listener, identity.subscribe(), registry.clone(), stop.clone()));
        Self {
            registry,
            authority,
            identity,
            address,
            folder: tempfile::tempdir().expect("a folder"),
            told,
            heard: Vec::new(),
            stop,
            serving,
        }
    }

    /// Another controller on the same port, once this one has gone: it knows nothing.
    pub(super) async fn restart(&mut self) {
        self.leave().await;
        let (registry, told) = Registry::new();
        self.registry = registry;
        self.told = told;
        self.heard.clear();
        self.stop = CancellationToken::new();
        // Connections of the one before may linger.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(self.address).expect("the port is free again");
        let listener = socket.listen(64).expect("listens");
        let serving = run(
            listener,
            self.identity.subscribe(),
            self.registry.clone(),
            self.stop.clone(),
        );
        self.serving = tokio::spawn(serving);
    }

    /// The controller goes, nobody comes.
    pub(super) async fn leave(&mut self) {
        self.stop.cancel();
        if !self.serving.is_finished() {
            within("the controller ends", &mut self.serving)
                .await
                .expect("no panic");
        }
    }

    pub(super) fn assign(&self, gateway: &str, upstreams: &[&str]) {
        self.registry.assign(gateway, mk_assignment(upstreams)).expect("fine");
    }

    /// A processor with a certificate of its own.
    pub(super) fn processor(&self, gateway: &str, name: &str) -> Processor {
        self.stranger(gateway, name, &self.authority.client(gateway))
    }

    /// A processor with that certificate.
    pub(super) fn stranger(&self, gateway: &str, name: &str, identity: &Identity) -> Processor {
        let folder = self.folder.path().join(gateway.replace('/', ".")).join(name);
        mount(&folder.join("certificates"), identity);
        Processor::start(Follower {
            url: format!("https://{}", self.address),
            certificates: folder.join("certificates"),
            gateway: gateway.into(),
            processor: name.into(),
            state: folder.join("assignment"),
        })
    }

    /// Waits until this was told.
    pub(super) async fn hears(&mut self, what: &str) {
        self.hears_that(what, |told| say(told) == what).await;
    }

    /// Waits until this was reported.
    pub(super) async fn hears_report(&mut self, upstreams: &[(&str, Reason)]) {
        self.hears_that("a report", |told| {
            let Told::Report(report) = told else { return false };
            let reported: Vec<_> = report
                .upstreams
                .iter()
                .map(|status| (status.name.as_str(), status.reason))
                .collect();
            reported == upstreams
        })
        .await;
    }

    pub(super) async fn hears_that(&mut self, what: &str, is: impl Fn(&Told) -> bool) {
        while !self.heard.iter().any(&is) {
            let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
            let Ok(Some((_, told))) = told else {
                panic!("{what}: only {:?}", self.heard.iter().map(say).collect::<Vec<_>>());
            };
            self.heard.push(told);
        }
    }

    /// Whether this was told by now.
    pub(super) fn heard(&mut self, what: &str) -> bool {
        self.heard_any(|told| say(told) == what)
    }

    pub(super) fn heard_any(&mut self, is: impl Fn(&Told) -> bool) -> bool {
        while let Ok((_, told)) = self.told.try_recv() {
            self.heard.push(told);
        }
        self.heard.iter().any(is)
    }

    pub(super) fn forget(&mut self) {
        while self.told.try_recv().is_ok() {}
        self.heard.clear();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stop.cancel();
        self.serving.abort();
    }
}

async fn run(listener: TcpListener, identity: watch::Receiver<Identity>, registry: Registry, stop: CancellationToken) {
    serve(listener, identity, registry, stop).await.expect("serves");
}

/// In the words of the tests.
fn say(told: &Told) -> String {
    match told {
        Told::Connected { processor } => format!("{processor} connected"),
        Told::Accepted { processor, version } => format!("{processor} accepted {version}"),
        Told::Refused {
            processor,
            version,
            reason,
        } => format!("{processor} refused {version}: {reason}"),
        Told::Report(report) => format!("{} reports {}", report.processor, report.upstreams.len()),
        Told::Unsent { upstreams, whole } => format!("unsent {upstreams:?} {whole:?}"),
        Told::Gone { processor } => format!("{processor} gone"),
    }
}

/// A processor that follows, without anything behind it.
pub(super) struct Processor {
    pub(super) follower: Follower,
    assigned: mpsc::Receiver<Assigned>,
    status: watch::Sender<Arc<Vec<UpstreamStatus>>>,
    stop: CancellationToken,
    following: JoinHandle<()>,
}

impl Processor {
    pub(super) fn start(follower: Follower) -> Self {
        let (out, assigned) = mpsc::channel(1);
        let status = watch::Sender::new(Arc::default());
        let stop = CancellationToken::new();
        let following = tokio::spawn(follower.clone().run(out, status.subscribe(), stop.clone()));
        Self {
            follower,
            assigned,
            status,
            stop,
            following,
        }
    }

    /// The next assignment, not judged yet.
    pub(super) async fn next(&mut self) -> Assigned {
        within("an assignment", self.assigned.recv()).await.expect("it follows")
    }

    pub(super) async fn accept(&mut self) -> (u64, Arc<Assignment>) {
        let next = self.next().await;
        next.verdict.send(Ok(())).expect("awaited");
        (next.version, next.assignment)
    }

    pub(super) async fn refuse(&mut self, reason: &str) {
        let next = self.next().await;
        next.verdict.send(Err(reason.to_owned())).expect("awaited");
    }

    pub(super) fn report(&self, upstreams: Vec<UpstreamStatus>) {
        self.status.send_replace(Arc::new(upstreams));
    }

    /// Nothing is assigned by now.
    pub(super) fn is_idle(&mut self) -> bool {
        self.assigned.try_recv().is_err()
    }

    pub(super) async fn end(&mut self) {
        self.stop.cancel();
        within("the processor ends", &mut self.following)
            .await
            .expect("no panic");
    }

    /// As a killed process ends.
    pub(super) async fn kill(&mut self) {
        self.following.abort();
        let _ = (&mut self.following).await;
    }

    /// The same processor, started again.
    pub(super) async fn restart(&mut self) {
        self.end().await;
        *self = Self::start(self.follower.clone());
    }

    /// Another one with the same name and certificate, and a disk of its own.
    pub(super) fn twin(&self) -> Self {
        let mut follower = self.follower.clone();
        follower.state = follower.state.with_extension("twin");
        Self::start(follower)
    }

    pub(super) fn certificates(&self) -> PathBuf {
        self.follower.certificates.clone()
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        self.following.abort();
    }
}

pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"))
}

/// One endpoint with these upstreams, each with secrets.
pub(super) fn mk_assignment(upstreams: &[&str]) -> Arc<Assignment> {
    let mut assignment = Assignment::default();
    for name in upstreams {
        assignment.upstreams.insert((*name).into(), Arc::new(mk_upstream(name)));
    }
    if !upstreams.is_empty() {
        let endpoint = Endpoint {
            id: "team.ext.mcp".into(),
            path: "/mcp".into(),
            hosts: vec!["mcp.example.com".into()],
            origins: Vec::new(),
            routes: vec!["team/mcp".into()],
            route_key: config::Confidential("route-key".into()),
            session_keys: vec![config::Confidential("session-key".into())],
            body_limit: Some(1 << 20),
            upstreams: upstreams.iter().map(|name| (*name).into()).collect(),
        };
        assignment
            .endpoints
            .insert(Arc::clone(&endpoint.id), Arc::new(endpoint));
    }
    Arc::new(assignment)
}

pub(super) fn mk_upstream(name: &str) -> config::Upstream {
    config::Upstream {
        name: name.to_owned(),
        url: format!("http://{name}.team.svc/mcp").parse().expect("a URL"),
        prefix: format!("{}_", name.replace('.', "-")),
        credential: Some(config::Credential {
            header: "authorization".to_owned(),
            value: config::Secret::Value(config::Confidential("Bearer very-secret".into())),
        }),
        headers: vec![("x-team".to_owned(), "tools".to_owned())],
        timeout: config::Timeouts {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(60),
            list: Duration::from_millis(1_500),
        },
        ca: Some(config::Authority::Pem("-----BEGIN CERTIFICATE-----".into())),
        enabled: true,
        resources_rewrite: false,
        resources_probe: true,
        via: config::Via::Envoy,
        protocol: config::Protocol::Streamable,
        eras: config::Eras::Both,
        merge: true,
        addresses: vec![([10, 0, 0, 1], 8080).into()],
        protection: config::Protection::default(),
        delegated: config::Delegated::default(),
        listing: config::Listing::Shared,
    }
}

pub(super) fn mk_status(name: &str, reason: Reason) -> UpstreamStatus {
    UpstreamStatus {
        name: name.to_owned(),
        prefix: format!("{name}_"),
        url: format!("http://{name}.team.svc/mcp"),
        enabled: true,
        ready: reason == Reason::Ready,
        reason,
        eras: Vec::new(),
        protocol_version: None,
        tools: 7,
        prompts: 0,
        resources: 0,
        last_listed: None,
        last_error: None,
        warnings: Vec::new(),
    }
}
