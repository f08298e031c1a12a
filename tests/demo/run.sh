#!/bin/bash
# The demo behind `make demo`: two real MCP servers by others, one endpoint on a real Envoy.
#
# Usage: run.sh [--guarded] [--once]. Without --once it stays in the foreground until Ctrl-C. With it, it runs the curl
# flow itself, prints each request and reply, and exits 0 or 1. --guarded is guarded.sh. Everything it starts ends with
# it; files go to a temporary folder.
set -eu -o pipefail
cd "$(dirname "$0")/../.."

once=no guarded=no
for argument; do
    case $argument in
        --once) once=yes ;;
        --guarded) guarded=yes ;;
        *) echo "usage: make demo [ARGS='[--guarded] [--once]']" >&2; exit 2 ;;
    esac
done
. tests/demo/parts.sh
if [ $guarded = yes ]; then
    . tests/demo/guarded.sh
    exit 0
fi

say "1/4 building mcp-manifold (about 3 minutes on two cores the first time, seconds later)"
build

say "2/4 starting two MCP servers: server-everything (TypeScript SDK) and words (Python SDK)"
start_servers

say "3/4 starting the gateway (a few seconds)"
listen=$(port 8001) admin=$(port 8002)
cat >"$work/manifold.yaml" <<YAML
listen: 127.0.0.1:$listen
admin: 127.0.0.1:$admin
hosts: [$host]
stateDir: $work/state
audit: { file: $work/audit.jsonl }
upstreams:
  - { name: everything, url: "http://127.0.0.1:$everything_port/mcp" }
  - { name: words, url: "$words_url" }
YAML
start_gateway

say "4/4 the merged tools"
"$program" tools --admin "127.0.0.1:$admin"

url=http://$host:$listen/mcp
resolve=$host:$listen:127.0.0.1
initialize='{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test-client", "version": "1.0.0"}}}'
list='{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}'
call_words='{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "words_reverse", "arguments": {"text": "manifold"}}}'
call_everything='{"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "everything_echo", "arguments": {"message": "manifold"}}}'

if [ $once = no ]; then
    cat <<TEXT

Try it:
  curl -s -D mcp_headers --resolve $resolve -X POST $url -H "Content-Type: application/json" \\
    -d '$initialize'
  SESSION_ID=\$(grep -i "mcp-session-id:" mcp_headers | cut -d' ' -f2 | tr -d '\r')
  curl --resolve $resolve -X POST $url -H "Content-Type: application/json" -H "mcp-session-id: \$SESSION_ID" \\
    -d '$list'
  curl --resolve $resolve -X POST $url -H "Content-Type: application/json" -H "mcp-session-id: \$SESSION_ID" \\
    -d '$call_words'

An MCP client connects to http://127.0.0.1:$listen/mcp; the status page is http://127.0.0.1:$admin/. Ctrl-C ends everything.
TEXT
    stay
fi

post "$initialize"
expect 'result["protocolVersion"] == "2025-11-25"'
session=$(grep -i "mcp-session-id:" "$work/headers" | cut -d' ' -f2 | tr -d '\r')
[ -n "$session" ] || fail "no session id"
say "MCP Session ID: $session"
post "$list" "mcp-session-id: $session"
expect '{"words_reverse", "words_add", "everything_echo"} <= names'
post "$call_words" "mcp-session-id: $session"
expect 'result["content"][0]["text"] == "dlofinam"'
post "$call_everything" "mcp-session-id: $session"
expect '"manifold" in result["content"][0]["text"]'
say "demo: good"
