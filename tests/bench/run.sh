#!/bin/bash
# `make bench`: the engine's benches, then the comparison (about six minutes). Arguments go to compare.py.
set -eu
cd "$(dirname "$0")/../.."
export MCP_MANIFOLD_TOOLS="${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/0.1.0}"

echo "building with optimisation (5 minutes the first time)" >&2
cargo build --locked --quiet --release --bin mcp-manifold --example noop --example stub
[ $# -gt 0 ] || cargo bench --locked --quiet --bench engine --bench fold -- --noplot
exec python3 -B tests/bench/compare.py "$@"
