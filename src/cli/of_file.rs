//! `render manifests -f`: prints the objects that make one configuration file a gateway on Envoy Gateway.
//!
//! Values of secrets are printed only if they are asked for.

use super::manifests::ManifestsArguments;
use crate::edge::config_file::ConfigSource;
use crate::edge::envoy::route_key;
use crate::edge::kube::of_file::{Remark, Site, Source, render};
use crate::edge::kube::plan::Place;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// Envoy Gateway cannot do what the file says. Its text has a line for each key.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.file, .remarks))]
pub(super) struct Impossible {
    file: String,
    remarks: Vec<Remark>,
}

pub(super) fn run(file: &Path, arguments: &ManifestsArguments, values: &Value) -> anyhow::Result<()> {
    let source = ConfigSource {
        file: Some(file.to_owned()),
        upstreams: Vec::new(),
    };
    let config = source.load()?;
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let tree: Value = serde_saphyr::from_str(&text)?;
    let key = match arguments.with_secrets {
        true => Some(route_key(&config.state_dir).with_context(|| format!("stateDir {}", config.state_dir.display()))?),
        false => None,
    };
    let gateway = gateway(arguments)?;
    let site = Site {
        gateway: &gateway,
        class: arguments.gateway_class.as_deref(),
        values,
        route_key: key.as_deref(),
        read: &|path| std::fs::read_to_string(path),
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let rendered = render(&config, &tree, folder, &site).map_err(|remarks| Impossible {
        file: source.name(),
        remarks,
    })?;
    for remark in &rendered.remarks {
        eprintln!("{}: {remark}", source.name());
    }
    let secrets = match key {
        Some(key) => rendered
            .secrets
            .iter()
            .map(|wanted| wanted.document(|source| value(source, &key)))
            .collect(),
        None => Ok(Vec::new()),
    };
    super::print(&rendered.yaml(&secrets?))
}

fn gateway(arguments: &ManifestsArguments) -> anyhow::Result<Place> {
    match arguments.gateway.as_slice() {
        [] => Ok(Place {
            namespace: "mcp".into(),
            name: "mcp".into(),
        }),
        [only] => {
            ensure!(
                only.is_sidecar(),
                "--gateway: with -f the processor is in Envoy's pods: leave =deployment out"
            );
            Ok(only.place())
        }
        [_, _, ..] => bail!("--gateway: with -f one Gateway is made"),
    }
}

/// What the operator has here.
fn value(source: &Source, route_key: &str) -> anyhow::Result<Vec<u8>> {
    match source {
        Source::Env(name) => std::env::var_os(name)
            .map(std::ffi::OsString::into_encoded_bytes)
            .with_context(|| format!("environment variable {name} is not set")),
        Source::File(file) => std::fs::read(file).with_context(|| file.display().to_string()),
        Source::RouteKey => Ok(route_key.as_bytes().to_vec()),
    }
}

fn lines(file: &str, remarks: &[Remark]) -> String {
    let lines = remarks.iter().map(|remark| format!("{file}: {remark}"));
    lines.collect::<Vec<_>>().join("\n")
}
