//! Documents as text, and how the Secrets that they name come to be.

use super::{RENDERED, Rendered, SecretKind, SecretWanted, Source};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

impl Rendered {
    /// YAML documents, `secrets` first; without those a comment at the head says how to make them.
    #[must_use]
    pub fn yaml(&self, secrets: &[Value]) -> String {
        let head = if secrets.is_empty() { self.head() } else { String::new() };
        let all = secrets.iter().chain(&self.documents);
        let documents = all.map(|document| {
            let body = serde_saphyr::to_string(document).unwrap_or_default();
            format!("---\n{}\n", body.trim_end())
        });
        head + &documents.collect::<String>()
    }

    fn head(&self) -> String {
        let commands: String = self.secrets.iter().map(command).collect();
        format!(
            "# These objects name Secrets: make them first (--with-secrets prints them too). ROUTE_KEY is random, of 16\n\
             # characters or more, and stands in the routes below too, instead of {}.\n\
             #   ROUTE_KEY=$(openssl rand -hex 32)\n{commands}",
            super::KEY_PLACEHOLDER
        )
    }
}

/// As a comment. Values are the operator's.
fn command(wanted: &SecretWanted) -> String {
    let place = &wanted.place;
    let kind = match wanted.kind {
        SecretKind::Opaque => "generic",
        SecretKind::Tls => "tls",
    };
    let first = format!("#   kubectl create secret {kind} {} -n {}", place.name, place.namespace);
    let options = wanted.entries.iter().map(|(key, source)| match (source, wanted.kind) {
        (Source::File(file), SecretKind::Tls) => format!(
            "--{}={}",
            key.replace("tls.crt", "cert").replace("tls.key", "key"),
            file.display()
        ),
        (Source::File(file), SecretKind::Opaque) => format!("--from-file={key}={}", file.display()),
        (Source::Env(name), _) => format!("--from-literal={key}=\"${name}\""),
        (Source::RouteKey, _) => format!("--from-literal={key}=\"$ROUTE_KEY\""),
    });
    let lines: Vec<String> = std::iter::once(first)
        .chain(options.map(|option| format!("#     {option}")))
        .collect();
    lines.join(" \\\n") + "\n"
}

impl SecretWanted {
    /// The Secret itself.
    ///
    /// # Errors
    /// What `resolve` says.
    pub fn document<E>(&self, resolve: impl Fn(&Source) -> Result<Vec<u8>, E>) -> Result<Value, E> {
        let mut data = Map::new();
        for (key, source) in &self.entries {
            data.insert(key.clone(), STANDARD.encode(resolve(source)?).into());
        }
        let kind = match self.kind {
            SecretKind::Opaque => "Opaque",
            SecretKind::Tls => "kubernetes.io/tls",
        };
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": &*self.place.namespace,
                "name": &*self.place.name,
                "labels": {RENDERED: &self.label},
            },
            "type": kind,
            "data": data,
        }))
    }
}
