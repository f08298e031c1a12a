//! What is served: a real processor in a small room, and one that tells on which thread it runs.

use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Reply;
use envoy_types::pb::envoy::service::ext_proc::v3::{ImmediateResponse, ProcessingRequest, ProcessingResponse};
use futures_util::stream::{Once, once};
use mcp_manifold::edge::extproc::{Admission, Asked, Backroom, Budget, CallStream, Gate, HubStream, Mail};
use mcp_manifold::engine::catalog::{Catalog, Item, Kind, Listing};
use mcp_manifold::engine::config::file::parse;
use mcp_manifold::engine::exchange::event::Refusal;
use mcp_manifold::engine::exchange::record::Way;
use mcp_manifold::engine::exchange::step::{Attended, Call, Listen, Notice, ParkKey, Question, SessionRef};
use mcp_manifold::engine::exchange::{Finding, Parked, Record};
use mcp_manifold::engine::mcp::Version;
use mcp_manifold::engine::mcp::capabilities::ServerFlags;
use mcp_manifold::engine::mcp::trace::Ratio;
use mcp_manifold::engine::session::{Keys, SessionKey, Subscription, Timestamp, Wanted};
use mcp_manifold::engine::snapshot::fold::{EndpointSettings, Folder, UpstreamInput};
use mcp_manifold::engine::snapshot::{Routing, Snapshot};
use std::future::{Ready, ready};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

/// Answers every stream with the name of the thread that serves it.
pub(crate) fn names() -> ExternalProcessorServer<Names> {
    ExternalProcessorServer::new(Names)
}

pub(crate) struct Names;

#[tonic::async_trait]
impl ExternalProcessor for Names {
    type ProcessStream = Once<Ready<Result<ProcessingResponse, Status>>>;

    async fn process(
        &self,
        _request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let answer = ImmediateResponse {
            details: std::thread::current().name().unwrap_or("nameless").to_owned(),
            ..Default::default()
        };
        let reply = ProcessingResponse {
            response: Some(Reply::ImmediateResponse(answer)),
            ..Default::default()
        };
        Ok(Response::new(once(ready(Ok(reply)))))
    }
}

/// One stateless upstream with the tool `search`; nobody knows anything else.
pub(crate) struct Room {
    snapshot: Arc<Snapshot>,
    gate: Arc<Gate>,
    budget: Budget,
    recorded: watch::Sender<Option<Way>>,
}

impl Room {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            snapshot: snapshot(),
            gate: Arc::new(Gate::new(1000)),
            budget: Budget::new(1 << 20),
            recorded: watch::Sender::new(None),
        })
    }

    /// How the first exchange to end was handled.
    pub(crate) async fn recorded(&self) -> Way {
        let mut recorded = self.recorded.subscribe();
        let first = tokio::time::timeout(Duration::from_secs(20), recorded.wait_for(Option::is_some));
        let way = *first.await.expect("recorded in time").expect("the room stands");
        way.expect("waited for")
    }

    /// Waits until so many exchanges are open.
    pub(crate) async fn opened(&self, count: usize) {
        let counting = async {
            while self.gate.open() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), counting)
            .await
            .expect("they come and go in time");
    }
}

impl Backroom for Room {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn admit(&self) -> Result<Admission, Refusal> {
        self.gate.admit()
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn entropy(&self) -> u128 {
        42
    }

    fn traces(&self) -> Option<Ratio> {
        None
    }

    fn ask(&self, _question: Question) -> Asked {
        Asked::Now(Finding::Live)
    }

    fn call(&self, _call: Call) -> CallStream {
        Box::pin(futures_util::stream::pending())
    }

    fn outlive(&self, _call: CallStream, _cancelled: Option<Mail>) {}

    fn expect(&self, _session: SessionKey, _id: &str) -> Mail {
        Box::pin(std::future::pending())
    }

    fn watch(&self, _session: SessionKey, _id: &str) -> Mail {
        Box::pin(std::future::pending())
    }

    fn attend(&self, attended: Attended) -> CallStream {
        self.call(attended.call)
    }

    fn park(&self, _key: ParkKey, _parked: Box<Parked>, _call: Option<CallStream>) {}

    fn resume(&self, _key: ParkKey) -> Option<(Box<Parked>, Option<CallStream>)> {
        None
    }

    fn listen(&self, _subscription: Listen) -> HubStream {
        Box::pin(futures_util::stream::pending())
    }

    fn notify(&self, _notice: Notice) {}
    fn subscribe(&self, _session: SessionRef, _subscription: Subscription, _wanted: Wanted) {}

    fn record(&self, record: &Record, _elapsed: Duration) {
        self.recorded.send_replace(Some(record.way));
    }

    fn bodies(&self) -> &Budget {
        &self.budget
    }

    fn replay(&self) -> &Budget {
        &self.budget
    }
}

fn snapshot() -> Arc<Snapshot> {
    let text = "upstreams: [{name: one, url: 'http://127.0.0.1:9/mcp', prefix: ''}]";
    let config = parse(text, Path::new("/"), Path::new("/")).expect("a valid file");
    let tool = r#"{"name":"search","inputSchema":{"type":"object"}}"#;
    let listing = Listing {
        version: Version::V2025_11_25,
        stateful: false,
        capabilities: r#"{"tools":{}}"#.into(),
        flags: ServerFlags::default(),
        instructions: None,
        tools: vec![Item::read(Kind::Tools, tool).expect("a tool")],
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        ttl_ms: 0,
        public: false,
    };
    let upstream = UpstreamInput {
        config: Arc::new(config.upstreams.first().expect("one").clone()),
        credential: None,
        catalog: Catalog {
            legacy: Some(Arc::new(listing)),
            modern: None,
        },
    };
    let settings = EndpointSettings {
        id: "default".into(),
        routes: Vec::new(),
        routing: Routing::Cluster,
        keys: Keys::derive(&[b"a secret of the tests".to_vec()]).expect("one secret"),
        route_key: "key".into(),
        callers: None,
        views: || std::sync::Arc::new(mcp_manifold::engine::snapshot::view::NoViews),
        transparent: None,
        config: Arc::new(config),
    };
    let (endpoint, _) = Folder::default().fold(&settings, &[upstream]);
    Arc::new(Snapshot {
        generation: 1,
        endpoints: vec![endpoint],
    })
}
