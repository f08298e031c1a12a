//! What `authentication` needs from outside: the files it names, and the time it takes to compare a password.

pub mod files;
pub mod passwords;

pub use files::Files;
pub use passwords::Passwords;
