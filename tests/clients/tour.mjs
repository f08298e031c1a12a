// A tour that the clients of both TypeScript SDKs take: everything a server may do with a client, step by step.
//
// Usage: node tour.mjs v1|v2 URL MODE STEPS. MODE is that of ts-v2.mjs (v1: ignored); STEPS is a JSON array of
//   {"call": NAME, "arguments": {}}  {"prompt": NAME, "arguments": {}}  {"read": URI}  {"complete": NAME, "value": TEXT}
//   {"level": LEVEL}  {"listen": URI}  {"await": EVENT}
// Each step prints {"step": ..., what came}, and what the server says meanwhile {"event": ..., ...}, one JSON object a
// line. `listen` asks for changes of lists and of one resource, in the way of the revision. `await` waits for an event of
// that name that no earlier `await` has taken. Exit code 0, or 1 with {"step":"error"}.

import { print, require } from "./client.mjs";

const [sdk, url, mode, steps] = process.argv.slice(2);

/** Events that no step has taken yet, and who waits for one. */
const events = [];
let woken = () => {};

function happened(event, fields) {
  print({ event, ...fields });
  events.push(event);
  woken();
}

async function untilHappened(event) {
  const late = setTimeout(() => {
    print({ step: "error", message: `no ${event} in time` });
    process.exit(1);
  }, 20_000);
  while (!events.includes(event)) await new Promise((resolve) => (woken = resolve));
  events.splice(events.indexOf(event), 1);
  clearTimeout(late);
}

const answers = {
  "elicitation/create": async ({ params }) => {
    happened("elicited", { message: params.message });
    const values = { string: "Ada", boolean: true, integer: 36, number: 36.5, array: [] };
    const names = params.requestedSchema.required ?? [];
    const content = names.map((name) => [name, values[params.requestedSchema.properties[name].type]]);
    return { action: "accept", content: Object.fromEntries(content) };
  },
  "sampling/createMessage": async ({ params }) => {
    happened("sampled", { prompt: params.messages[0].content.text });
    return { role: "assistant", model: "none", stopReason: "endTurn", content: { type: "text", text: "Paris" } };
  },
  "roots/list": async () => {
    happened("rooted", {});
    return { roots: [{ uri: "file:///home/ada", name: "home" }] };
  },
};
const notices = {
  "notifications/message": ({ params }) => happened("log", { level: params.level, data: params.data }),
  "notifications/tools/list_changed": () => happened("tools_changed", {}),
  "notifications/prompts/list_changed": () => happened("prompts_changed", {}),
  "notifications/resources/updated": ({ params }) => happened("updated", { uri: params.uri }),
};
const capabilities = { elicitation: {}, sampling: {}, roots: { listChanged: true } };

async function connectV1() {
  const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const types = require("@modelcontextprotocol/sdk/types.js");
  const client = new Client({ name: "tour", version: "1.0.0" }, { capabilities });
  client.setRequestHandler(types.ElicitRequestSchema, answers["elicitation/create"]);
  client.setRequestHandler(types.CreateMessageRequestSchema, answers["sampling/createMessage"]);
  client.setRequestHandler(types.ListRootsRequestSchema, answers["roots/list"]);
  for (const schema of [
    types.LoggingMessageNotificationSchema,
    types.ToolListChangedNotificationSchema,
    types.PromptListChangedNotificationSchema,
    types.ResourceUpdatedNotificationSchema,
  ]) {
    client.setNotificationHandler(schema, notices[schema.shape.method.value]);
  }
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  print({ step: "connect", version: transport.protocolVersion });
  return { client, modern: false };
}

async function connectV2() {
  const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
  const negotiation = { mode: mode === "auto" || mode === "legacy" ? mode : { pin: mode } };
  const client = new Client({ name: "tour", version: "1.0.0" }, { capabilities, versionNegotiation: negotiation });
  for (const [method, answer] of Object.entries(answers)) client.setRequestHandler(method, answer);
  for (const [method, notice] of Object.entries(notices)) client.setNotificationHandler(method, notice);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const version = client.getNegotiatedProtocolVersion();
  print({ step: "connect", version });
  return { client, modern: version >= "2026-07-28" };
}

let level;
async function take(step, { client, modern }) {
  const args = step.arguments ?? {};
  if (step.call !== undefined) {
    const onprogress = ({ progress }) => happened("progress", { progress });
    const meta = modern && level ? { _meta: { "io.modelcontextprotocol/logLevel": level } } : {};
    const call = { name: step.call, arguments: args, ...meta };
    const result = await (sdk === "v1" ? client.callTool(call, undefined, { onprogress }) : client.callTool(call, { onprogress }));
    print({ step: "call", name: step.call, content: result.content, isError: result.isError ?? false });
  } else if (step.prompt !== undefined) {
    const { messages } = await client.getPrompt({ name: step.prompt, arguments: args });
    print({ step: "prompt", messages });
  } else if (step.read !== undefined) {
    const { contents } = await client.readResource({ uri: step.read });
    print({ step: "read", contents });
  } else if (step.complete !== undefined) {
    const argument = { name: "arg1", value: step.value };
    const { completion } = await client.complete({ ref: { type: "ref/prompt", name: step.complete }, argument });
    print({ step: "complete", values: completion.values });
  } else if (step.level !== undefined) {
    level = step.level;
    if (!modern) await client.setLoggingLevel(level);
    print({ step: "level" });
  } else if (step.listen !== undefined) {
    const filter = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [step.listen] };
    await (modern ? client.listen(filter) : client.subscribeResource({ uri: step.listen }));
    print({ step: "listen" });
  } else {
    await untilHappened(step.await);
    print({ step: "await", for: step.await });
  }
}

try {
  const connected = await (sdk === "v1" ? connectV1() : connectV2());
  for (const step of JSON.parse(steps)) await take(step, connected);
  await connected.client.close();
  process.exit(0);
} catch (error) {
  print({ step: "error", message: String(error), code: error.code, data: error.data });
  process.exit(1);
}
