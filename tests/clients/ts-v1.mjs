// The TypeScript SDK 1.x: legacy only. See client.mjs.

import { require, run } from "./client.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

await run(async (url) => {
  const transport = new StreamableHTTPClientTransport(url);
  const client = new Client({ name: "ts-v1", version: "1.0.0" });
  await client.connect(transport);
  return { client, connected: () => ({ version: transport.protocolVersion, session: transport.sessionId !== undefined }) };
});
