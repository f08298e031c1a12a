#!/bin/bash
# Runs the official conformance suite against a server, once on each wire that it can be tested on.
#
# Usage: run.sh URL FOLDER [WIRE ...]     WIRE: 2025-06-18 2025-11-25 2026-07-28 (default: all)
#
# The two newest revisions run as their frozen requirements. Those hold every scenario that `--suite all` runs at the
# same revision, and what is not scored besides; the judge counts that too. Checks are written to FOLDER/<wire>.
set -u -o pipefail
cd "$(dirname "$0")/../.."

tools=${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}
url=$1 out=$2
shift 2
[ $# -gt 0 ] || set -- 2025-06-18 2025-11-25 2026-07-28

for wire; do
    rm -rf "${out:?}/$wire"
    mkdir -p "$out/$wire"
    case $wire in
        2025-06-18) which=(--suite all --spec-version "$wire") ;;
        *) which=(--requirements "$wire") ;;
    esac
    # The suite's own verdict leaves out what is not scored, so its exit code says nothing to us.
    "$tools/node/bin/node" "$tools/npm/node_modules/@modelcontextprotocol/conformance/dist/index.js" \
        server --url "$url" "${which[@]}" --timeout 30000 -o "$out/$wire" >"$out/$wire/log" 2>&1
done
exit 0
