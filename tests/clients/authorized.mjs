// The TypeScript SDK 1.x, which knows nothing but the gateway's URL: it is refused, finds the identity provider by the
// gateway's metadata, registers itself, lets its user (this script) log in, and comes back with a token. Prints what
// client.mjs prints. Usage: node authorized.mjs URL TOOL ARGUMENTS.

import { require, run } from "./client.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { UnauthorizedError } = require("@modelcontextprotocol/sdk/client/auth.js");

const callback = "http://127.0.0.1:1/callback";

// A browser of sorts: follows redirects, keeps cookies, stops at the client's own address.
async function visit(url) {
  const cookies = new Map();
  for (let hop = 0; hop < 20; hop += 1) {
    if (url.href.startsWith(callback)) return url.searchParams.get("code");
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(";");
      cookies.set(pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1));
    }
    const location = response.headers.get("location");
    if (!location) throw new Error(`no way on from ${url}: ${response.status} ${await response.text()}`);
    url = new URL(location, url);
  }
  throw new Error("too many redirects");
}

class User {
  redirectUrl = callback;
  clientMetadata = {
    client_name: "test",
    redirect_uris: [callback],
    application_type: "native",
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  clientInformation = () => this.client;
  saveClientInformation = (client) => (this.client = client);
  tokens = () => this.held;
  saveTokens = (tokens) => (this.held = tokens);
  saveCodeVerifier = (verifier) => (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  redirectToAuthorization = async (url) => {
    this.code = await visit(url);
  };
}

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
