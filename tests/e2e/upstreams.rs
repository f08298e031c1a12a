//! Upstreams that misbehave, come and go: nobody else is harmed, and what is said of them is true.

mod changes;
mod credentials;
mod failures;
mod lists;
mod old;
mod secure;
