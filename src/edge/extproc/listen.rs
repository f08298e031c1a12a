//! Where Envoy connects: Unix sockets and TCP ports.

use super::socket::Accepted;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// `sun_path` has 108 bytes, the last of them zero. Envoy has the same limit.
const LONGEST_PATH: usize = 107;

/// An address to listen on: `unix:/path` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket file.
    Unix {
        /// Where. A file that nobody listens on any more is replaced.
        path: PathBuf,
        /// Permissions: 0o600, or 0o660 where Envoy runs as another user of the group.
        mode: u32,
    },
    /// A port; 0 takes a free one.
    Tcp(SocketAddr),
}

/// Why nobody can connect there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Neither form.
    #[error("{0:?} is neither unix:/path nor an address and port such as 127.0.0.1:9000")]
    NotAnAddress(String),
    /// Longer than the system allows.
    #[error("socket path {path:?} has {length} bytes; the system allows {LONGEST_PATH}")]
    PathTooLong {
        /// As given.
        path: PathBuf,
        /// In bytes.
        length: usize,
    },
    /// There is a file of another kind.
    #[error("{0:?} exists and is not a socket")]
    NotASocket(PathBuf),
    /// Somebody listens there.
    #[error("{0} is in use")]
    InUse(Listen),
    /// Everything else.
    #[error("cannot listen on {address}")]
    Io {
        /// As given.
        address: Listen,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix {
                path: path.into(),
                mode: 0o600,
            });
        }
        match text.parse() {
            Ok(address) => Ok(Self::Tcp(address)),
            Err(_) => Err(ListenError::NotAnAddress(text.to_owned())),
        }
    }
}

impl Listen {
    /// Binds the address. Needs a runtime.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(&self) -> Result<Listener, ListenError> {
        let io = |source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                return ListenError::InUse(self.clone());
            }
            ListenError::Io {
                address: self.clone(),
                source,
            }
        };
        match self {
            Self::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address).await.map_err(io)?)),
            Self::Unix { path, mode } => {
                fits(path)?;
                if !vacated(path).await.map_err(io)? {
                    return Err(if is_socket(path) {
                        ListenError::InUse(self.clone())
                    } else {
                        ListenError::NotASocket(path.clone())
                    });
                }
                let listener = UnixListener::bind(path).map_err(io)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)).map_err(io)?;
                Ok(Listener::Unix(listener, SocketFile(path.clone())))
            }
        }
    }
}

fn fits(path: &Path) -> Result<(), ListenError> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(ListenError::PathTooLong {
            path: path.to_owned(),
            length,
        });
    }
    Ok(())
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

/// Whether the path is free, after removing a socket file that nobody listens on.
async fn vacated(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
        Ok(_) if !is_socket(path) => return Ok(false),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?;
            Ok(true)
        }
        Ok(_) | Err(_) => Ok(false),
    }
}

/// A bound address. Dropping it closes it and removes its socket file.
#[derive(Debug)]
pub enum Listener {
    /// A Unix socket and its file.
    Unix(UnixListener, SocketFile),
    /// A TCP port.
    Tcp(TcpListener),
}

/// A socket file, removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// The port in use; `None` for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Unix(..) => None,
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
        }
    }

    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(match self {
            Self::Unix(listener, _) => {
                let (socket, _) = ready!(listener.poll_accept(context))?;
                socket.into_std().map(Accepted::Unix)
            }
            Self::Tcp(listener) => {
                let (socket, _) = ready!(listener.poll_accept(context))?;
                socket.set_nodelay(true)?;
                socket.into_std().map(Accepted::Tcp)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_unix(path: &Path) -> Listen {
        Listen::Unix {
            path: path.to_owned(),
            mode: 0o600,
        }
    }

    #[test]
    fn both_forms_of_an_address_are_read() {
        assert_eq!(
            "unix:/run/x.sock".parse::<Listen>().expect("a path"),
            mk_unix(Path::new("/run/x.sock"))
        );
        assert_eq!("[::1]:9".parse::<Listen>().expect("an address").to_string(), "[::1]:9");
        for wrong in ["", "unix:", "9000", "localhost"] {
            assert!(
                matches!(wrong.parse::<Listen>(), Err(ListenError::NotAnAddress(_))),
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn a_socket_file_left_behind_is_replaced_and_removed_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        // Dropping the standard library's listener leaves its file, as a killed process does.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("free"));
        let listener = mk_unix(&path).bind().await.expect("nobody listens any more");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let _first = mk_unix(&path).bind().await.expect("free");
        let error = mk_unix(&path).bind().await.expect_err("in use");
        assert!(matches!(error, ListenError::InUse(_)), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_file_of_another_kind_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").expect("written");
        let error = mk_unix(&path).bind().await.expect_err("not ours");
        assert!(matches!(error, ListenError::NotASocket(_)), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_path_that_the_system_would_cut_is_named() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(LONGEST_PATH)));
        let error = mk_unix(&path).bind().await.expect_err("too long");
        assert!(
            error.to_string().contains("has 112 bytes; the system allows 107"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = "127.0.0.1:0"
            .parse::<Listen>()
            .expect("an address")
            .bind()
            .await
            .expect("free");
        let taken = format!("127.0.0.1:{}", first.port().expect("a port"));
        let error = taken
            .parse::<Listen>()
            .expect("an address")
            .bind()
            .await
            .expect_err("taken");
        assert_eq!(error.to_string(), format!("{taken} is in use"));
    }
}
