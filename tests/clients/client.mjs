// What the clients of both TypeScript SDKs have in common: find the SDK in the tools cache, connect, list, call, print.
//
// Usage: node FILE URL TOOL [ARGUMENTS-AS-JSON] [MODE]. Prints one JSON object a line:
//   {"step":"connect","version":...,"server":...,"session":...}  {"step":"tools","names":[...]}  {"step":"call","content":[...],"isError":...}
// Exit code 0, or 1 with {"step":"error","message":...}.

import { createRequire } from "node:module";
import { join } from "node:path";

const tools =
  process.env.MCP_MANIFOLD_TOOLS ?? join(process.env.XDG_CACHE_HOME ?? join(process.env.HOME, ".cache"), "mcp-manifold", "0.1.0");
export const require = createRequire(join(tools, "npm", "package.json"));

export const print = (line) => console.log(JSON.stringify(line));

/** `connect(url, mode)` gives `{ client, connected }`, where `connected()` tells what was negotiated. */
export async function run(connect) {
  const [url, tool, args = "{}", mode] = process.argv.slice(2);
  if (!tool) {
    console.error("usage: URL TOOL [ARGUMENTS-AS-JSON] [MODE]");
    process.exit(2);
  }
  try {
    const { client, connected } = await connect(new URL(url), mode);
    print({ step: "connect", server: client.getServerVersion()?.name, ...connected() });
    print({ step: "tools", names: await allNames(client) });
    const result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
    print({ step: "call", content: result.content, isError: result.isError ?? false });
    await client.close();
  } catch (error) {
    print({ step: "error", message: String(error), code: error.code });
    process.exit(1);
  }
}

async function allNames(client) {
  const names = [];
  let cursor;
  do {
    const page = await client.listTools(cursor === undefined ? undefined : { cursor });
    names.push(...page.tools.map((tool) => tool.name));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return names;
}
