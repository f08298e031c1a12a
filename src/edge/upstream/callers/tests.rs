//! Listings of callers against scripted servers.
