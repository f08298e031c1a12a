#!/bin/bash
# The MCP Inspector on the command line: lists the tools, then calls one. Prints the Inspector's own JSON.
#
# Usage: inspector.sh URL TOOL [KEY=VALUE ...]
set -eu
tools=${MCP_MANIFOLD_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/mcp-manifold/0.1.0}
url=$1 tool=$2
shift 2

# It keeps its catalog of servers in the home folder.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
inspect() {
    HOME=$folder "$tools/node/bin/node" "$tools/npm/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js" \
        --cli --transport http --server-url "$url" "$@"
}

inspect --method tools/list
arguments=()
for pair; do arguments+=(--tool-arg "$pair"); done
inspect --method tools/call --tool-name "$tool" "${arguments[@]}"
