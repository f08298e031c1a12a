//! The index as its callers see it: objects and reports in, changes out.

mod backends;
mod extensions;
mod fixtures;
mod growth;
mod obstacles;
mod processors;
mod registrations;
mod routes;

use super::*;
