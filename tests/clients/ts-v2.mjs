// The TypeScript SDK 2.x: MODE is `auto` (the default here: server/discover, else initialize), `legacy`, or a revision
// to insist on. See client.mjs.

import { require, run } from "./client.mjs";

const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

await run(async (url, mode = "auto") => {
  const transport = new StreamableHTTPClientTransport(url);
  const negotiation = { mode: mode === "auto" || mode === "legacy" ? mode : { pin: mode } };
  const client = new Client({ name: "ts-v2", version: "1.0.0" }, { versionNegotiation: negotiation });
  await client.connect(transport);
  return {
    client,
    connected: () => ({ version: client.getNegotiatedProtocolVersion(), session: transport.sessionId !== undefined }),
  };
});
