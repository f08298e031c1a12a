// A server on the TypeScript SDK 2.x that speaks 2026-07-28 and nothing else.
//
// Usage: node typescript_modern.mjs. Listens on loopback, on a free port; prints `listening http://127.0.0.1:PORT/mcp`.
// Tools: `hello` mirrors its `name` in a header, `ask` wants a word from the user first and brings a state along, `list`
// answers structured content that is no object.

import { createServer } from "node:http";
import { require } from "../clients/client.mjs";

// Comes with the Inspector, at the version of our lock file.
const { McpServer, createMcpHandler, fromJsonSchema, inputRequired } = require("@modelcontextprotocol/server");

const STATE = 'sealed "state"';

const schema = (properties) => fromJsonSchema({ type: "object", properties });
const text = (words) => ({ content: [{ type: "text", text: words }] });

function server() {
  const mcp = new McpServer({ name: "typescript", version: "1.0.0" });
  const name = { type: "string", "x-mcp-header": "Name" };
  mcp.registerTool("hello", { inputSchema: schema({ name }) }, ({ name }) => text(`Hello, ${name}!`));
  mcp.registerTool("ask", { inputSchema: schema({}) }, (_, { mcpReq }) => {
    const told = mcpReq.inputResponses?.word;
    if (told !== undefined) {
      return text(`${told.action} ${told.content?.word} ${mcpReq.requestState() === STATE}`);
    }
    const word = inputRequired.elicit({
      message: "Which word?",
      requestedSchema: { type: "object", properties: { word: { type: "string" } } },
    });
    return inputRequired({ inputRequests: { word }, requestState: STATE });
  });
  const numbers = fromJsonSchema({ type: "array", items: { type: "integer" } });
  mcp.registerTool("list", { inputSchema: schema({}), outputSchema: numbers }, () => ({
    content: [],
    structuredContent: [1, 2, 3],
  }));
  return mcp;
}

const handler = createMcpHandler(server, { legacy: "reject" });

const http = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const answer = await handler.fetch(
    new Request(`http://${request.headers.host}${request.url}`, {
      method: request.method,
      headers: new Headers(request.headers),
      body: chunks.length > 0 ? Buffer.concat(chunks) : undefined,
    }),
  );
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  for await (const chunk of answer.body ?? []) response.write(chunk);
  response.end();
});
http.listen(0, "127.0.0.1", () => console.log(`listening http://127.0.0.1:${http.address().port}/mcp`));
