//! Before anything is parsed: origins, addresses, response headers, transparent paths.

mod address;
mod browser;
mod guide;
mod transparent;
