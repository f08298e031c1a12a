//! What `authentication` needs from outside: the files it names, the time it takes to compare a password, and how the keys
//! of issuers are.

pub mod files;
pub mod keysets;
pub mod passwords;

pub use files::Files;
pub use keysets::{IssuerKeys, Keysets};
pub use passwords::Passwords;
