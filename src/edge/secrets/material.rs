//! Files that Envoy or our own TLS will read later: whether certificates, a private key, a key set stand in them at all.
//!
//! Nothing is kept, and an error never shows what stands there.

use rustls_pemfile::Item;
use std::path::Path;

/// What a file has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material {
    /// One or more certificates, PEM.
    Certificates,
    /// A private key, PEM.
    PrivateKey,
    /// A JSON Web Key Set (RFC 7517, 5).
    KeySet,
    /// Anything.
    Any,
}

impl Material {
    /// Whether the file holds it.
    ///
    /// # Errors
    /// It cannot be read, or holds something else; in one line, with the file's name.
    pub fn check(self, file: &Path) -> Result<(), String> {
        let shown = file.display();
        let bytes = std::fs::read(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let (holds, wanted) = match self {
            Self::Any => return Ok(()),
            Self::Certificates => (
                first(&bytes, |item| matches!(item, Item::X509Certificate(_))),
                "no certificate in PEM form (BEGIN CERTIFICATE)",
            ),
            Self::PrivateKey => (first(&bytes, is_key), "no private key in PEM form (BEGIN PRIVATE KEY)"),
            Self::KeySet => (is_key_set(&bytes), "no JSON Web Key Set: {\"keys\": [...]} with a key"),
        };
        if holds {
            Ok(())
        } else {
            Err(format!("{shown} holds {wanted}"))
        }
    }
}

/// Whether the file is PEM to its end, and holds such an item.
fn first(bytes: &[u8], wanted: impl Fn(&Item) -> bool) -> bool {
    let items: Result<Vec<Item>, _> = rustls_pemfile::read_all(&mut &*bytes).collect();
    items.is_ok_and(|items| items.iter().any(wanted))
}

const fn is_key(item: &Item) -> bool {
    matches!(item, Item::Pkcs1Key(_) | Item::Pkcs8Key(_) | Item::Sec1Key(_))
}

fn is_key_set(bytes: &[u8]) -> bool {
    let set: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
    let kind = |key: &serde_json::Value| key.get("kty").is_some_and(serde_json::Value::is_string);
    let keys = set.as_ref().ok().and_then(|set| set.get("keys")?.as_array());
    keys.is_some_and(|keys| !keys.is_empty() && keys.iter().all(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(material: Material, content: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, content).expect("written");
        material.check(&file)
    }

    #[test]
    fn what_envoy_could_not_use_is_told_beforehand() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert_eq!(judged(Material::Certificates, &certificate), Ok(()));
        assert_eq!(judged(Material::PrivateKey, &key), Ok(()));
        assert!(judged(Material::Certificates, &key).is_err_and(|error| error.contains("no certificate")));
        assert!(judged(Material::PrivateKey, &certificate).is_err_and(|error| error.contains("no private key")));
        let secret = "hunter2";
        assert!(judged(Material::PrivateKey, secret).is_err_and(|error| !error.contains(secret)));
        assert_eq!(judged(Material::Any, secret), Ok(()));
    }

    #[test]
    fn a_key_set_has_keys() {
        assert_eq!(
            judged(Material::KeySet, r#"{"keys":[{"kty":"RSA","n":"..","e":"AQAB"}]}"#),
            Ok(())
        );
        for wrong in ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[{}]}"#, r#"{"kty":"RSA"}"#] {
            assert!(judged(Material::KeySet, wrong).is_err(), "{wrong}");
        }
    }
}
