#!/bin/bash
# Runs the official conformance suite against a server, on each wire that it can be tested on.
#
# Usage: run.sh URL [--expected FILE] [WIRE ...]     WIRE: 2025-06-18 2025-11-25 2026-07-28 (default: all)
#
# The two newest revisions run as their frozen requirements, together with what is not scored: an unscored scenario that
# fails is an error here too, unless FILE names it. FILE lists the scenarios that must fail; one that passes is an error.
# Details of the last run lie in $OUT/<wire> (default: target/conformance).
set -u -o pipefail
cd "$(dirname "$0")/../.."

tools=${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}
out=${OUT:-${CARGO_TARGET_DIR:-target}/conformance}
url=$1
shift
expected=/dev/null
[ "${1-}" != --expected ] || { expected=$2; shift 2; }
[ $# -gt 0 ] || set -- 2025-06-18 2025-11-25 2026-07-28

worst=0
for wire; do
    rm -rf "${out:?}/$wire"
    mkdir -p "$out/$wire"
    case $wire in
        2025-06-18) which=(--suite all --spec-version "$wire") ;;
        *) which=(--requirements "$wire") ;;
    esac
    "$tools/node/bin/node" "$tools/npm/node_modules/@modelcontextprotocol/conformance/dist/index.js" \
        server --url "$url" "${which[@]}" --timeout 10000 -o "$out/$wire" >"$out/$wire/log" 2>&1
    # The suite's own verdict leaves out what is not scored, so the checks are judged here.
    "$tools/node/bin/node" tests/conformance/judge.mjs "$wire" "$out/$wire" "$expected" || worst=1
done
exit $worst
