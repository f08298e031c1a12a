//! What brings the processor into the routes: one policy for each purpose, found by label, so that a route more changes no
//! policy. A policy that is new to a listener makes Envoy drain it.

use super::{EXTENSION, Make, Purpose, backends};
use crate::edge::kube::objects::{message_timeout, processing};
use serde_json::{Value, json};

pub(super) fn all(make: &Make<'_>) -> Vec<Value> {
    let purposes = Purpose::ALL.into_iter().filter(|purpose| is_needed(make, *purpose));
    purposes.map(|purpose| policy(make, purpose)).collect()
}

fn is_needed(make: &Make<'_>, purpose: Purpose) -> bool {
    match purpose {
        Purpose::Public | Purpose::Upstream => true,
        Purpose::Inspected => make.merges(),
        Purpose::Opaque => make.config.transparent.iter().any(|entry| entry.opaque),
    }
}

fn policy(make: &Make<'_>, purpose: Purpose) -> Value {
    let backends = json!([backends::reference(&make.name("processor"))]);
    let calls = make.config.upstreams.iter().map(|upstream| upstream.timeout.call);
    let mut settings = processing(&backends, &message_timeout(calls.max().unwrap_or_default()));
    match purpose {
        Purpose::Public | Purpose::Upstream => {}
        Purpose::Inspected => settings["processingMode"]["response"]["body"] = "FullDuplexStreamed".into(),
        Purpose::Opaque => {
            let request = settings["processingMode"]["request"].as_object_mut();
            request.into_iter().for_each(|request| drop(request.remove("body")));
        }
    }
    let spec = json!({"targetSelectors": [make.selector(purpose)], "extProc": [settings]});
    make.object(&EXTENSION, &make.name(purpose.as_str()), &spec)
}
