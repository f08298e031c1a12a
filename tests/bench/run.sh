#!/bin/bash
# `make bench`: the engine's benches, the comparison, and what happens at scale (about nine minutes). With arguments only
# the comparison, which takes them.
set -eu
cd "$(dirname "$0")/../.."
export MCP_MANIFOLD_TOOLS="${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/0.1.0}"

echo "building with optimisation (5 minutes the first time)" >&2
cargo build --locked --quiet --release --bin mcp-manifold --example noop --example stub
if [ $# -eq 0 ]; then
    cargo bench --locked --quiet --bench engine --bench fold -- --noplot
    python3 -B tests/bench/scale.py
fi
exec python3 -B tests/bench/compare.py "$@"
