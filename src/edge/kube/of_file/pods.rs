//! The processor in Envoy's pods: its part of the file, its secrets, and the EnvoyProxy that puts it there.

use super::settings::{CONFIG, SECRETS, STATE};
use super::{CONFIG_MAP, Make, PROXY, Place, Remarks, SecretKind, SecretWanted, Source, backends, names};
use crate::edge::kube::objects::{EXT_PROC_SOCKET, FALLBACK_PORT};
use crate::engine::config::AccessLog;
use serde_json::{Value, json};

/// The Secret's key with the route key; the file of that name in the state folder.
pub(super) const ROUTE_KEY: &str = "route-key";
const RUN: &str = "/var/run/mcp-manifold";
const EXT_PROC: &str = "envoy.filters.http.ext_proc";

pub(super) fn all(make: &Make<'_>, remarks: &mut Remarks) -> Vec<Value> {
    vec![config_map(make), proxy(make, remarks)]
}

/// Name of ConfigMap and Secret: many Gateways' stand in the namespace of Envoy's pods.
fn name(make: &Make<'_>) -> String {
    format!("{}-file", names::processors(make.site.gateway))
}

fn config_map(make: &Make<'_>) -> Value {
    let mut body = make.bare(&CONFIG_MAP, Some(make.pods()), &name(make));
    let public = make
        .settings
        .public
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()));
    let data = public.chain([("manifold.yaml", make.settings.text.as_str())]);
    body["data"] = data.map(|(key, text)| (key.to_owned(), Value::from(text))).collect();
    body
}

pub(super) fn secret(make: &Make<'_>) -> SecretWanted {
    let key = (ROUTE_KEY.to_owned(), Source::RouteKey);
    SecretWanted {
        place: Place {
            namespace: make.pods().into(),
            name: name(make).into(),
        },
        entries: [key].into_iter().chain(make.settings.secrets.iter().cloned()).collect(),
        kind: SecretKind::Opaque,
        label: make.label.clone(),
    }
}

fn proxy(make: &Make<'_>, remarks: &mut Remarks) -> Value {
    let limits = make.config.rate_limits.iter();
    // Behind everything that decides by identity and address, so that it covers what the processor answers itself. Only
    // a filter that is there can be followed.
    let after = match limits.clone().any(|limit| limit.is_by_address()) {
        true => "envoy.filters.http.local_ratelimit",
        false => "envoy.filters.http.rbac",
    };
    let spec = json!({
        "filterOrder": [{"name": EXT_PROC, "after": after}],
        "concurrency": make.config.envoy.concurrency,
        "telemetry": telemetry(make, remarks),
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {"envoyDeployment": {"patch": {
                "type": "StrategicMerge",
                "value": {"spec": {"template": {"spec": pod(make)}}},
            }}},
        },
    });
    make.object(&PROXY, make.gateway(), &spec)
}

fn telemetry(make: &Make<'_>, remarks: &mut Remarks) -> Value {
    let mut telemetry = json!({"accessLog": access_log(make, remarks)});
    if let Some(wanted) = &make.config.telemetry
        && !wanted.traces.is_none()
    {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 1,000,000"
        )]
        let kept = (wanted.traces.percent() * 10_000.0).round() as u32;
        telemetry["tracing"] = json!({
            "samplingFraction": {"numerator": kept, "denominator": 1_000_000},
            "provider": {
                "type": "OpenTelemetry",
                "serviceName": "mcp-manifold-envoy",
                "backendRefs": [backends::reference(&backends::of_collector(make))],
            },
        });
    }
    telemetry
}

fn access_log(make: &Make<'_>, remarks: &mut Remarks) -> Value {
    match make.config.envoy.access_log {
        AccessLog::Off => return json!({"disable": true}),
        AccessLog::On => {}
        AccessLog::File(_) => remarks.tell("envoy.accessLog", "goes to the standard output of Envoy's container"),
    }
    let of_processor = [
        "method",
        "id",
        "tool",
        "upstream",
        "session",
        "era",
        "principal",
        "answered",
    ];
    let of_envoy = [
        ("time", "%START_TIME%"),
        ("request_id", "%REQ(X-REQUEST-ID)%"),
        ("client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        ("verb", "%REQ(:METHOD)%"),
        // Without its query, which may hold a token.
        ("path", "%PATH(NQ:ORIG_OR_PATH)%"),
        ("route", "%ROUTE_NAME%"),
        ("code", "%RESPONSE_CODE%"),
        ("details", "%RESPONSE_CODE_DETAILS%"),
        ("flags", "%RESPONSE_FLAGS%"),
        ("ms", "%DURATION%"),
        ("bytes_in", "%BYTES_RECEIVED%"),
        ("bytes_out", "%BYTES_SENT%"),
        ("trace", "%TRACE_ID%"),
    ];
    let of_processor = of_processor.map(|key| (key, format!("%DYNAMIC_METADATA(mcp.manifold:{key})%")));
    let of_envoy = of_envoy.map(|(key, value)| (key, value.to_owned()));
    let fields = of_envoy.into_iter().chain(of_processor);
    let fields: Value = fields
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    json!({"settings": [{
        "format": {"type": "JSON", "json": fields},
        "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
    }]})
}

fn pod(make: &Make<'_>) -> Value {
    let image = &make.site.values["image"];
    let name = name(make);
    let mut pod = json!({
        // It starts before Envoy and ends after it.
        "initContainers": [container(make)],
        "containers": [{"name": "envoy", "volumeMounts": [{"name": "mcp-manifold-socket", "mountPath": RUN}]}],
        "volumes": [
            {"name": "mcp-manifold-socket", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "mcp-manifold-state", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "mcp-manifold-config", "configMap": {"name": name}},
            {"name": "mcp-manifold-secrets", "secret": {"secretName": name}},
        ],
    });
    if image["pullSecrets"].as_array().is_some_and(|names| !names.is_empty()) {
        pod["imagePullSecrets"] = image["pullSecrets"].clone();
    }
    pod
}

fn container(make: &Make<'_>) -> Value {
    let image = &make.site.values["image"];
    let processor = &make.site.values["processor"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tag = text(&image["tag"]);
    let tag = if tag.is_empty() {
        env!("CARGO_PKG_VERSION")
    } else {
        &tag
    };
    // Alive is what answers: the admin port is the pod's own, so it is asked from inside.
    let alive =
        json!({"exec": {"command": ["mcp-manifold", "status", "--json", "-f", format!("{CONFIG}/manifold.yaml")]}});
    let probe = |more: Value| {
        let mut probe = alive.clone();
        probe
            .as_object_mut()
            .into_iter()
            .for_each(|probe| probe.extend(more.as_object().cloned().unwrap_or_default()));
        probe
    };
    json!({
        "name": "mcp-manifold",
        "image": format!("{}:{tag}", text(&image["repository"])),
        "imagePullPolicy": image["pullPolicy"],
        "restartPolicy": "Always",
        "args": [
            "serve",
            "--log-format=json",
            format!("--file={CONFIG}/manifold.yaml"),
            format!("--listen=unix:{EXT_PROC_SOCKET}"),
            format!("--fallback=127.0.0.1:{FALLBACK_PORT}"),
        ],
        "env": environment(make),
        "startupProbe": probe(json!({"periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 30})),
        "livenessProbe": probe(json!({"periodSeconds": 15, "timeoutSeconds": 3, "failureThreshold": 3})),
        "resources": processor["resources"],
        "securityContext": {
            // Envoy's own user, who may open the socket.
            "runAsNonRoot": true,
            "runAsUser": 65_532,
            "runAsGroup": 65_532,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "mcp-manifold-socket", "mountPath": RUN},
            {"name": "mcp-manifold-state", "mountPath": STATE},
            {"name": "mcp-manifold-config", "mountPath": CONFIG, "readOnly": true},
            {"name": "mcp-manifold-secrets", "mountPath": SECRETS, "readOnly": true},
            {"name": "mcp-manifold-secrets", "mountPath": format!("{STATE}/{ROUTE_KEY}"), "subPath": ROUTE_KEY, "readOnly": true},
        ],
    })
}

fn environment(make: &Make<'_>) -> Vec<Value> {
    let secret = name(make);
    let level = json!({"name": "MCP_MANIFOLD_LOG", "value": make.site.values["processor"]["logLevel"]});
    let variables = make.settings.secrets.iter().filter_map(|(key, source)| match source {
        Source::Env(name) => {
            let reference = json!({"secretKeyRef": {"name": secret, "key": key}});
            Some(json!({"name": name, "valueFrom": reference}))
        }
        Source::File(_) | Source::RouteKey => None,
    });
    std::iter::once(level).chain(variables).collect()
}
