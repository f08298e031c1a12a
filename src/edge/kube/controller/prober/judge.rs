//! What the answers of Envoy's pods say of a route.

use crate::edge::kube::controller::probe::{Answer, Line, ask};
use crate::edge::kube::index::Road;
use crate::edge::kube::objects::Probe;
use crate::edge::kube::plan::Door;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Open connections of one pass.
#[derive(Default)]
pub(super) struct Lines {
    open: HashMap<(SocketAddr, Door), Line>,
}

// === impl Lines ===

impl Lines {
    /// What all asked pods say; the worst of it. An error: nothing can be said yet, and why.
    pub(super) async fn find(&mut self, probe: &Probe, pods: &HashMap<i32, Vec<SocketAddr>>) -> Result<Road, String> {
        let addresses = pods.get(&probe.door.port).map(Vec::as_slice).unwrap_or_default();
        if addresses.is_empty() {
            return Err("no pod of Envoy is found by its labels".to_owned());
        }
        let mut whole = Road::Guarded;
        for address in addresses {
            let key = (*address, probe.door.clone());
            let line = match self.open.remove(&key) {
                Some(line) => line,
                None => Line::open(*address, &probe.door).await?,
            };
            let (answer, line) = ask(line, probe, Some(&probe.upstream)).await;
            if let Some(line) = line {
                self.open.insert(key, line);
            }
            let road = judge(answer, *address, probe).await;
            match road? {
                Road::Guarded => {}
                worse @ (Road::Open(_) | Road::Broken(_) | Road::Unverified(_)) => whole = worse,
            }
        }
        Ok(whole)
    }
}

/// What a pod's answer says of a route.
///
/// The processor's refusal on it means that it is guarded. Anything else may come from a filter before the processor: it
/// counts only where the same request, for no upstream, does come to the processor.
async fn judge(answer: Answer, pod: SocketAddr, probe: &Probe) -> Result<Road, String> {
    let status = match answer {
        Answer::Guarded => return Ok(Road::Guarded),
        Answer::Public => return Err("Envoy does not have it yet".to_owned()),
        Answer::Nothing(reason) => return Err(reason),
        Answer::Other(status) => status,
    };
    // On a connection of its own: Envoy closes one after an error.
    let (control, _) = ask(Line::open(pod, &probe.door).await?, probe, None).await;
    match (control, status) {
        (Answer::Public, 500..) => Ok(Road::Broken(status)),
        (Answer::Public, _) => Ok(Road::Open(status)),
        (Answer::Guarded | Answer::Other(_) | Answer::Nothing(_), _) => {
            Err(format!("something before the processor answers with status {status}"))
        }
    }
}
