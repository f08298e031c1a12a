# `make demo ARGS=--guarded`, sourced by run.sh: login at a real identity provider, a filtered list, a denied call, a rate
# limit, the audit lines. With --once it ends then, else it stays for you to try.
# shellcheck shell=bash

say "1/7 building mcp-manifold (about 3 minutes on two cores the first time, seconds later)"
build

say "2/7 starting two MCP servers and an identity provider (npm oidc-provider), whose user is alice"
start_servers
listen=$(port 8001) admin=$(port 8002) provider_port=$(port 0)
url=http://127.0.0.1:$listen/mcp
issuer=http://127.0.0.1:$provider_port
"$tools/node/bin/node" tests/clients/identity-provider.mjs "$provider_port" "$url" >"$work/provider.log" 2>&1 &
servers+=($!)
line_of "$work/provider.log" "ready" "${servers[2]}" >/dev/null || fail "the provider did not start: $(cat "$work/provider.log")"

say "3/7 starting the gateway (a few seconds)"
key=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
hash=$(printf %s "$key" | sha256sum | cut -d' ' -f1)
printf '[{ name: ci, sha256: %s, roles: [admin] }]\n' "$hash" >"$work/keys.yaml"
cat >"$work/manifold.yaml" <<YAML
listen: 127.0.0.1:$listen
admin: 127.0.0.1:$admin
stateDir: $work/state
audit: { file: $work/audit.jsonl }
authentication:
  jwt: [ { issuer: "$issuer", jwks: { url: "$issuer/jwks" } } ]
  apiKeys: { header: x-api-key, file: $work/keys.yaml }
  scopes: [mcp:tools]
policies:
  rules:
    - { name: environment, deny: "tool.name == 'everything_get-env' && !('admin' in roles)" }
    - { name: small-sums, deny: "tool.name == 'words_add' && arguments.a > 100", message: "Sums above 100 need approval" }
rateLimits:
  - { name: reversing, per: [principal, tool], limit: 2/min, tools: words_reverse }
upstreams:
  - { name: everything, url: "http://127.0.0.1:$everything_port/mcp" }
  - { name: words, url: "$words_url" }
YAML
start_gateway

say "4/7 login: a client that knows only $url (the TypeScript SDK)"
"$tools/node/bin/node" tests/clients/token.mjs "$url" 2>&1 >"$work/token" || fail "no token"
token=$(cat "$work/token")
[ -n "$token" ] || fail "no token"
alice="authorization: Bearer $token" ci="x-api-key: $key"

call() {
    printf '{"jsonrpc": "2.0", "id": %s, "method": "tools/call", "params": {"name": "%s", "arguments": %s}}' "$@"
}
# Prints the names of the tools that a caller sees; they stay in $work/names.
names() {
    local initialize='{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "demo", "version": "1.0.0"}}}'
    curl -sS --fail --max-time 30 -D "$work/headers" -o /dev/null "$url" -H "content-type: application/json" -H "$2" -d "$initialize"
    session=$(grep -i "mcp-session-id:" "$work/headers" | cut -d' ' -f2 | tr -d '\r')
    curl -sS --fail --max-time 30 "$url" -H "content-type: application/json" -H "$2" -H "mcp-session-id: $session" \
        -d '{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}' \
        | python3 -c 'import json, sys; print(*sorted(tool["name"] for tool in json.load(sys.stdin)["result"]["tools"]))' >"$work/names"
    printf '  %s sees %s tools: %s\n' "$1" "$(wc -w <"$work/names")" "$(cat "$work/names")"
}
# The reply's status, and what it must contain.
expect_reply() {
    head -1 "$work/headers" | grep -q " $1" || fail "the status is not $1"
    grep -q -- "$2" "$work/reply" || fail "the reply lacks: $2"
}

say "5/7 lists: everything_get-env is for admins"
names ci "$ci"
grep -q everything_get-env "$work/names" || fail "ci does not see everything_get-env"
names alice "$alice"
! grep -q everything_get-env "$work/names" || fail "alice sees everything_get-env"

say "6/7 alice calls: a tool that she cannot see, one with arguments that a rule denies, one too often"
with_session="mcp-session-id: $session"
post "$(call 3 everything_get-env '{}')" "$alice" "$with_session"
expect_reply 200 '"code":-32602'
post "$(call 4 words_add '{"a": 500, "b": 1}')" "$alice" "$with_session"
expect_reply 200 '"message":"Sums above 100 need approval"'
post "$(call 5 words_add '{"a": 40, "b": 2}')" "$alice" "$with_session"
expect_reply 200 '42'
for id in 6 7; do
    post "$(call $id words_reverse '{"text": "manifold"}')" "$alice" "$with_session"
    expect_reply 200 dlofinam
done
post "$(call 8 words_reverse '{"text": "manifold"}')" "$alice" "$with_session"
expect_reply 429 '"code":-31012'

say "7/7 which rule decides, and what the audit file says of these calls"
"$program" explain --admin "127.0.0.1:$admin" --user alice --tool words_add --arguments '{"a": 500, "b": 1}' || true
printf '\n'
grep '"tools/call"' "$work/audit.jsonl" || fail "the audit file does not name the calls"
grep -q '"rule":"small-sums"' "$work/audit.jsonl" || fail "the audit file does not name the rule"
grep -q '"rule":"reversing"' "$work/audit.jsonl" || fail "the audit file does not name the limit"
! grep -q "$token\|$key" "$work/audit.jsonl" "$work/gateway.log" || fail "a secret was written down"
say "demo: good"

if [ $once = no ]; then
    cat <<TEXT

Try it, as alice for five minutes or with the key:
  curl $url -H "content-type: application/json" -H "$ci" -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'

The status page is http://127.0.0.1:$admin/. Ctrl-C ends everything.
TEXT
    stay
fi
