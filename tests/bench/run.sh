#!/bin/bash
# `make bench`: the engine alone, what happens at scale, open streams, the ways of a call, and the comparison (twenty
# minutes). With arguments only the comparison, which takes them.
set -eu
cd "$(dirname "$0")/../.."
export MCP_MANIFOLD_TOOLS="${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/0.1.0}"

echo "building with optimisation (5 minutes the first time)" >&2
cargo build --locked --quiet --release --bin mcp-manifold --example noop --example stub --example count --example sessions
if [ $# -eq 0 ]; then
    cargo bench --locked --quiet --bench engine --bench fold --bench policy -- --noplot --warm-up-time 1 --measurement-time 2
    if command -v valgrind >/dev/null; then
        python3 -B tests/bench/instructions.py
    else
        echo "instructions are not counted: valgrind is missing (apt-get install valgrind)" >&2
    fi
    cargo run --locked --quiet --release --example sessions
    python3 -B tests/bench/scale.py
    python3 -B tests/bench/streams.py
    python3 -B tests/bench/ways.py
fi
exec python3 -B tests/bench/compare.py "$@"
