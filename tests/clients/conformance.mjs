// The client under test of the conformance suite: the gateway, with the suite's server as its only upstream, and before
// it the TypeScript SDK 2.x, doing what the scenario asks.
//
// Usage: node conformance.mjs URL, with MCP_CONFORMANCE_SCENARIO, _CONTEXT and _PROTOCOL_VERSION as the suite sets them,
// and of our own: MCP_MANIFOLD_GATEWAY (the program), MCP_MANIFOLD_ENVOY, MCP_MANIFOLD_CLIENT (the revision of the SDK's
// client, if it is not the scenario's own: then the gateway translates).

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { require } from "./client.mjs";

const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const url = process.argv[2];
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const revision = process.env.MCP_MANIFOLD_CLIENT ?? process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? "2026-07-28";

// The suite's servers of a revision take what a client of another one sends for a fault.
const eras = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION >= "2026-07-28" ? "modern" : "both";

/** Starts the gateway before `upstream`; its URL, and how to end it. */
async function gateway(upstream) {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  const file = join(folder, "manifold.yaml");
  writeFileSync(
    file,
    `listen: 127.0.0.1:0
admin: 127.0.0.1:0
stateDir: state
lists: { first: 20s }
upstreams:
- { name: suite, url: '${upstream}', prefix: '', eras: ${eras} }
`,
  );
  const child = spawn(process.env.MCP_MANIFOLD_GATEWAY, ["up", "-f", file], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("ready ")) resolve(line.split(/\s+/)[1]);
    });
    ended.then(() => reject(new Error("the gateway ended before it was ready")));
  });
  const end = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true });
  };
  return { url: await ready.catch((error) => end().then(() => Promise.reject(error))), end };
}

async function connect(endpoint) {
  const negotiation = { mode: revision >= "2026-07-28" ? { pin: revision } : "legacy" };
  const client = new Client(
    { name: "conformance", version: "1.0.0" },
    { capabilities: { elicitation: {}, sampling: {}, roots: {} }, versionNegotiation: negotiation },
  );
  client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { confirmed: true } }));
  await client.connect(new StreamableHTTPClientTransport(new URL(endpoint)));
  return client;
}

/** A value for each required property. */
function some(schema) {
  const samples = { string: "word", integer: 1, number: 1.5, boolean: true, object: {}, array: [] };
  const entries = (schema.required ?? []).map((name) => [name, samples[schema.properties[name]?.type] ?? "word"]);
  return Object.fromEntries(entries);
}

const acts = {
  /** Lists everything there is and uses each item once. */
  async everything(client) {
    for (const tool of (await client.listTools()).tools) {
      await client.callTool({ name: tool.name, arguments: some(tool.inputSchema) });
    }
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  },
  /** The calls that the suite wishes. */
  async wished(client) {
    await client.listTools();
    for (const call of context.toolCalls) await client.callTool(call);
  },
  /** Calls every listed tool: what must not be called must not be listed. The suite judges what it is sent, so it does
   * not matter that the SDK refuses a result of 2026-07-28 without `resultType`. */
  async tools(client) {
    for (const tool of (await client.listTools()).tools) {
      const called = client.callTool({ name: tool.name, arguments: some(tool.inputSchema) });
      await called.catch((error) => error.code === "INVALID_RESULT" || Promise.reject(error));
    }
  },
  async add(client) {
    await client.listTools();
    await client.callTool({ name: "add_numbers", arguments: { a: 5, b: 3 } });
  },
  /** Sends a listed schema back as an argument. */
  async schema(client) {
    const { tools } = await client.listTools();
    const focal = tools.find((tool) => tool.name === "json_schema_2020_12_tool");
    const echo = tools.find((tool) => tool !== focal);
    await client.callTool({ name: echo.name, arguments: { schema: focal.inputSchema } });
  },
};

const plan = {
  "request-metadata": acts.tools,
  "http-standard-headers": acts.everything,
  "http-custom-headers": acts.wished,
  "http-invalid-tool-headers": acts.tools,
  "sse-retry": acts.tools,
  "json-schema-2020-12-preservation": acts.schema,
  "json-schema-ref-no-deref": (client) => client.listTools(),
  "sep-2322-client-request-state": acts.tools,
  tools_call: acts.add,
};

const { url: endpoint, end } = await gateway(url);
try {
  const client = await connect(endpoint);
  await plan[scenario](client);
  await client.close();
} finally {
  await end();
}
