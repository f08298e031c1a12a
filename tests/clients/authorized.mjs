// The TypeScript SDK 1.x, which knows nothing but the gateway's URL: it is refused, finds the identity provider by the
// gateway's metadata, registers itself, lets its user (this script) log in, and comes back with a token. Prints what
// client.mjs prints. Usage: node authorized.mjs URL TOOL ARGUMENTS.

import { require, run } from "./client.mjs";
import { User } from "./login.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { UnauthorizedError } = require("@modelcontextprotocol/sdk/client/auth.js");

await run(async (url) => {
  const user = new User();
  const open = () => new StreamableHTTPClientTransport(url, { authProvider: user });
  let transport = open();
  let client = new Client({ name: "authorized", version: "1.0.0" });
  try {
    await client.connect(transport);
    throw new Error("it was let in without a token");
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
  }
  await transport.finishAuth(user.code);
  transport = open();
  client = new Client({ name: "authorized", version: "1.0.0" });
  await client.connect(transport);
  return { client, connected: () => ({ version: transport.protocolVersion, session: transport.sessionId !== undefined }) };
});
