//! The processor's part of the file: what Envoy Gateway does is taken out, and what it names lies where the pod has it.

use super::{Make, Remarks, Source, routes};
use crate::engine::config::{Config, Limits};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Where the file and what is public lies in the pod.
pub(super) const CONFIG: &str = "/etc/mcp-manifold";
/// Where secrets lie in the pod.
pub(super) const SECRETS: &str = "/var/run/secrets/mcp-manifold";
/// Bytes of headers that Envoy takes where nobody tells it otherwise.
const ENVOYS_HEADERS: usize = 60 << 10;
/// Where the processor may write.
pub(super) const STATE: &str = "/var/lib/mcp-manifold";

/// What the pod needs.
#[derive(Default)]
pub(super) struct Settings {
    /// The file, as YAML.
    pub(super) text: String,
    /// Key of the Secret, and where its value is found: the variables' keys are their names.
    pub(super) secrets: Vec<(String, Source)>,
    /// Key of the ConfigMap, and its value: what is no secret.
    pub(super) public: Vec<(String, String)>,
}

/// Reads the tree of the file.
pub(super) fn of(make: &Make<'_>, tree: &Value, folder: &Path, remarks: &mut Remarks) -> Settings {
    let mut tree = tree.as_object().cloned().unwrap_or_default();
    for theirs in ["listen", "tls"] {
        tree.remove(theirs);
    }
    tree.insert("stateDir".to_owned(), STATE.into());
    if make.config.hosts.is_empty()
        && let Some(host) = routes::public_host(make.config)
    {
        tree.insert("hosts".to_owned(), json!([host]));
    }
    let envoy = envoy(&tree, make);
    tree.insert("envoy".to_owned(), envoy);
    let mut walk = Walk {
        make,
        folder,
        remarks,
        settings: Settings::default(),
        files: Vec::new(),
    };
    let mut tree = Value::Object(tree);
    walk.visit("", &mut tree);
    let mut settings = walk.settings;
    settings.text = serde_saphyr::to_string(&tree).unwrap_or_default();
    settings
}

/// What of the section is the processor's.
fn envoy(tree: &Map<String, Value>, make: &Make<'_>) -> Value {
    let mut kept = json!({"routes": routes::ways_in(make)});
    if let Some(metadata) = tree.get("envoy").and_then(|envoy| envoy.get("metadata")) {
        kept["metadata"] = metadata.clone();
    }
    kept
}

/// Looks for references: `{ env: NAME }`, `{ file: PATH }`.
struct Walk<'a, 'b> {
    make: &'a Make<'a>,
    folder: &'a Path,
    remarks: &'b mut Remarks,
    settings: Settings,
    /// Files that have a key already, and where they lie in the pod.
    files: Vec<(PathBuf, String)>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, at: &str, value: &mut Value) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.visit(&format!("{at}[{index}]"), item);
                }
            }
            Value::Object(map) => {
                self.reference(at, map);
                for (key, inner) in map {
                    let path = if at.is_empty() {
                        key.clone()
                    } else {
                        format!("{at}.{key}")
                    };
                    self.visit(&path, inner);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn reference(&mut self, at: &str, map: &mut Map<String, Value>) {
        if map.contains_key("dir") {
            self.remarks.stop(
                format!("{at}.dir"),
                "a folder cannot be rendered: mount it into the processor yourself",
            );
        }
        if let (Some(Value::String(name)), 1) = (map.get("env"), map.len()) {
            self.variable(name);
        }
        if let Some(Value::String(file)) = map.get_mut("file") {
            *file = self.file(at, file);
        }
    }

    fn variable(&mut self, name: &str) {
        if !self.settings.secrets.iter().any(|(key, _)| key == name) {
            let source = Source::Env(name.to_owned());
            self.settings.secrets.push((name.to_owned(), source));
        }
    }

    /// Where the file lies in the pod.
    fn file(&mut self, at: &str, file: &str) -> String {
        let path = self.folder.join(file);
        if at == "audit" {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let place = format!("{STATE}/{name}");
            self.remarks.tell(
                at,
                format!("is written to {place} and goes with the pod; without a file it is logged"),
            );
            return place;
        }
        if let Some((_, place)) = self.files.iter().find(|(known, _)| *known == path) {
            return place.clone();
        }
        let key = self.free_key(&path);
        let place = if is_public(at) {
            match (self.make.site.read)(&path) {
                Ok(text) => self.settings.public.push((key.clone(), text)),
                Err(error) => self.remarks.stop(at, format!("{}: {error}", path.display())),
            }
            format!("{CONFIG}/{key}")
        } else {
            self.settings.secrets.push((key.clone(), Source::File(path.clone())));
            format!("{SECRETS}/{key}")
        };
        self.files.push((path, place.clone()));
        place
    }

    /// The file's name, as far as a key may have it.
    fn free_key(&self, path: &Path) -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        let name: String = name
            .chars()
            .map(|letter| if plain(letter) { letter } else { '_' })
            .collect();
        let taken = |key: &str| {
            let secrets = self.settings.secrets.iter().any(|(known, _)| known == key);
            let public = self.settings.public.iter().any(|(known, _)| known == key);
            secrets || public || key == "manifold.yaml" || key == super::pods::ROUTE_KEY
        };
        let numbered = (2_u32..).map(|number| format!("{number}-{name}"));
        let mut keys = std::iter::once(name.clone()).chain(numbered);
        keys.find(|key| !taken(key)).unwrap_or_default()
    }
}

/// Certificates of authorities, and public keys.
fn is_public(at: &str) -> bool {
    at.ends_with(".ca") || at.ends_with(".jwks")
}

/// Keys that come out otherwise than the file says, or not at all.
pub(super) fn remarks(config: &Config, tree: &Value, remarks: &mut Remarks) {
    let given = |pointer: &str| tree.pointer(pointer).is_some();
    if !given("/publicUrl") {
        remarks.stop(
            "publicUrl",
            "say where clients find the gateway: listener and hosts come from it",
        );
    }
    let told = [
        (
            "/envoy/admin",
            "envoy.admin",
            "Envoy Gateway decides where Envoy's admin interface is",
        ),
        (
            "/envoy/routes",
            "envoy.routes",
            "is replaced by the routes that are rendered",
        ),
        ("/envoy/responsePhase", "envoy.responsePhase", "is always on"),
    ];
    for (pointer, key, message) in told {
        if given(pointer) {
            remarks.tell(key, message);
        }
    }
    let Limits { streams, headers, .. } = config.limits;
    if headers > ENVOYS_HEADERS {
        remarks.tell(
            "limits.headers",
            "60KiB are Envoy's own limit, and Envoy Gateway has no setting for it",
        );
    }
    if streams > 100_000 {
        remarks.tell("limits.streams", "Envoy lets 100000 through to the processor at once");
    }
    let service = config.rate_limit_service.as_ref().map(|service| &*service.address);
    if let Some(address) = service
        && is_here(address)
    {
        remarks.stop("rateLimitService.address", super::backends::LOOPBACK);
    }
}

/// `host:port` of this machine.
fn is_here(address: &str) -> bool {
    let url = url::Url::parse(&format!("http://{address}/"));
    url.is_ok_and(|url| url.host().is_some_and(|host| super::is_loopback(&host)))
}
