//! The files that `authentication` names: the hashes of API keys, and htpasswd. Text in, entries out; reading the files is the
//! edge's.
//!
//! An error names the place, never what stands there: it may be a key or a password in plain.

use super::file::Problem;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// A hash that costs more would keep a core busy for seconds.
const MAX_COST: u32 = 14;
/// Of a name: it stands in logs and metadata.
const MAX_NAME: usize = 128;

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is.
    pub name: Arc<str>,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// What its holder is.
    pub roles: Vec<Arc<str>>,
}

/// One line of an htpasswd file.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// Whose it is.
    pub name: Arc<str>,
    /// The bcrypt hash, as it stands there.
    pub hash: Arc<str>,
}

/// Reads the keys file: a list of `{ name, sha256, roles }`. A name may have several keys, so that one can follow the other.
///
/// # Errors
/// Every entry that is wrong.
pub fn api_keys(text: &str) -> Result<Vec<ApiKey>, Vec<Problem>> {
    let entries: Vec<Value> = serde_saphyr::from_str(text).map_err(|_| {
        vec![problem(
            "",
            "not YAML, or not a list of { name, sha256, roles }".to_owned(),
        )]
    })?;
    let (mut keys, mut problems, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (at, entry) in entries.iter().enumerate() {
        match api_key(entry) {
            Ok(key) if seen.insert(key.digest) => keys.push(key),
            Ok(_) => problems.push(problem(&format!("[{at}]"), "sha256 stands here twice".to_owned())),
            Err(message) => problems.push(problem(&format!("[{at}]"), message)),
        }
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

fn api_key(entry: &Value) -> Result<ApiKey, String> {
    const KNOWN: [&str; 3] = ["name", "sha256", "roles"];
    let entry = entry.as_object().ok_or("not a mapping with name and sha256")?;
    if entry.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("an unknown key; known here: {}", KNOWN.join(", ")));
    }
    let name = entry.get("name").and_then(Value::as_str).ok_or("name is missing")?;
    let digest = entry.get("sha256").and_then(Value::as_str).and_then(digest);
    Ok(ApiKey {
        name: caller_name(name)?.into(),
        digest: digest.ok_or("sha256 must be 64 hexadecimal digits: the hash of the key, not the key")?,
        roles: roles(entry.get("roles"))?,
    })
}

fn roles(value: Option<&Value>) -> Result<Vec<Arc<str>>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let roles = value.as_array().ok_or("roles must be a list")?;
    let texts = roles.iter().map(|role| role.as_str().map(Arc::from));
    texts
        .collect::<Option<_>>()
        .ok_or_else(|| "roles must be texts".to_owned())
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Reads an htpasswd file: `name:hash` in lines, `#` before comments; bcrypt only.
///
/// # Errors
/// Every line that is wrong.
pub fn passwords(text: &str) -> Result<Vec<Password>, Vec<Problem>> {
    let (mut passwords, mut problems, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match password(line) {
            Ok(password) if seen.insert(Arc::clone(&password.name)) => passwords.push(password),
            Ok(_) => problems.push(problem(
                &format!("line {}", at + 1),
                "a name stands here twice".to_owned(),
            )),
            Err(message) => problems.push(problem(&format!("line {}", at + 1), message)),
        }
    }
    if problems.is_empty() {
        Ok(passwords)
    } else {
        Err(problems)
    }
}

fn password(line: &str) -> Result<Password, String> {
    let (name, hash) = line.split_once(':').ok_or("not name:hash")?;
    if !is_bcrypt(hash) {
        return Err("not a bcrypt hash ($2y$...): make it with htpasswd -B".to_owned());
    }
    let cost: u32 = hash.get(4..6).and_then(|cost| cost.parse().ok()).unwrap_or(u32::MAX);
    if !(4..=MAX_COST).contains(&cost) {
        return Err(format!("the cost of the hash must be 4 to {MAX_COST}"));
    }
    Ok(Password {
        name: caller_name(name)?.into(),
        hash: hash.into(),
    })
}

/// `$2y$12$` and 53 characters.
fn is_bcrypt(hash: &str) -> bool {
    let kind = ["$2a$", "$2b$", "$2y$"].iter().any(|kind| hash.starts_with(kind));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    kind && hash.len() == 60 && hash.as_bytes().get(6) == Some(&b'$') && hash.bytes().skip(7).all(plain)
}

/// Principals are written `kind:name` and `issuer|subject`: a name must not look like another kind of them.
fn caller_name(text: &str) -> Result<&str, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'|' | b':' | b'"' | b'\\');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(plain) {
        return Err(format!(
            "a name is up to {MAX_NAME} visible ASCII characters without blanks, | : \" and \\"
        ));
    }
    Ok(text)
}

fn problem(path: &str, message: String) -> Problem {
    Problem {
        path: if path.is_empty() {
            "text".to_owned()
        } else {
            path.to_owned()
        },
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuJh0Kd5HNfO4yG3BxsQ7nZ3b0z4dVZ1a";

    #[test]
    fn keys_are_read_with_their_roles() {
        let text = format!(
            "- {{ name: ci, sha256: {}, roles: [admin] }}\n- {{ name: ci, sha256: '{}' }}",
            "AB".repeat(32),
            "01".repeat(32)
        );
        let keys = api_keys(&text).expect("valid");
        assert_eq!(keys.len(), 2, "one key may follow the other");
        assert_eq!((keys[0].digest, &*keys[0].roles[0]), ([0xab; 32], "admin"));
    }

    #[test]
    fn a_key_in_plain_is_refused_and_not_shown() {
        for text in [
            "- { name: ci, sha256: hunter2 }",
            "- { name: ci, key: hunter2 }",
            "hunter2",
            "- hunter2",
        ] {
            let problems = api_keys(text).err().expect(text);
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
    }

    #[test]
    fn htpasswd_has_comments_and_bcrypt_only() {
        let text = format!("# who\n\nalice:{HASH}\n");
        let read = passwords(&text).expect("valid");
        assert_eq!((&*read[0].name, &*read[0].hash), ("alice", HASH));
        for wrong in [
            "alice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=".to_owned(),
            "alice:secret".to_owned(),
            HASH.replace("$05$", "$31$"),
            format!("a|b:{HASH}"),
            format!("x:{}", HASH.replace("$05$", "$20$")),
            format!("a:{HASH}\na:{HASH}"),
        ] {
            assert!(passwords(&wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = api_keys(&text);
            let _ = passwords(&text);
        }
    }
}
