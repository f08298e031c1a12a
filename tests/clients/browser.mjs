// A web page with the TypeScript SDK 1.x, in Chromium, served from an origin of its own: http://127.0.0.1:PORT.
//
// Usage: node browser.mjs URL TOOL ARGUMENTS-AS-JSON PORT. Prints one JSON object: what the page saw
// ({"version","session","tools","content","status"}), or {"error": ...}. Exit code 0, or 1 where there was an error.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { require } from "./client.mjs";

const [url, tool, args, port] = process.argv.slice(2);
const { rolldown } = await import(require.resolve("rolldown").replace(/\.cjs$/, ".mjs"));

const page = `
  import { Client } from ${JSON.stringify(esm("client/index.js"))};
  import { StreamableHTTPClientTransport } from ${JSON.stringify(esm("client/streamableHttp.js"))};
  const report = (what) => fetch("/report", { method: "POST", body: JSON.stringify(what) });
  try {
    const transport = new StreamableHTTPClientTransport(new URL(${JSON.stringify(url)}));
    const client = new Client({ name: "page", version: "1.0.0" });
    await client.connect(transport);
    const { tools } = await client.listTools();
    const { content } = await client.callTool({ name: ${JSON.stringify(tool)}, arguments: ${args} });
    const session = transport.sessionId;
    await transport.terminateSession();
    // What a page can read of a refusal: the session is over.
    const gone = await fetch(${JSON.stringify(url)}, {
      method: "POST",
      headers: { "content-type": "application/json", "mcp-session-id": session, "mcp-param-region": "eu" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/list" }),
    });
    await report({ version: transport.protocolVersion, session, tools: tools.map(({ name }) => name), content, status: gone.status });
  } catch (error) {
    await report({ error: String(error) });
  }
`;

function esm(file) {
  return join(dirname(require.resolve("@modelcontextprotocol/sdk/client/index.js")), "../../esm", file);
}

/** The page and everything that it imports, as one script. */
async function bundled() {
  const entry = "\0page";
  const inMemory = { name: "page", resolveId: (id) => (id === entry ? id : null), load: (id) => (id === entry ? page : null) };
  const bundle = await rolldown({ input: entry, platform: "browser", plugins: [inMemory], logLevel: "silent" });
  const { output } = await bundle.generate({ format: "esm" });
  return output.map(({ code }) => code).join("\n");
}

const script = await bundled();
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const seen = await new Promise((resolve) => {
  const server = createServer((request, response) => {
    if (request.url === "/report") {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        response.end();
        end(body);
      });
      return;
    }
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><title>page</title><script type="module" src="/page.js"></script>');
  });
  const patience = setTimeout(() => end(JSON.stringify({ error: "the page said nothing in time" })), 60_000);
  let chromium;
  function end(body) {
    clearTimeout(patience);
    server.close();
    server.closeAllConnections();
    chromium.once("exit", () => resolve(body));
    // With all that it has started.
    process.kill(-chromium.pid, "SIGKILL");
  }
  server.listen(Number(port), "127.0.0.1", () => {
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", `--user-data-dir=${profile}`];
    chromium = spawn(process.env.CHROMIUM ?? "chromium", [...flags, `http://127.0.0.1:${port}/`], { stdio: "ignore", detached: true });
    chromium.once("error", (error) => resolve(JSON.stringify({ error: `${error}; install it with: apt-get install chromium` })));
  });
});
rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
console.log(seen);
process.exit("error" in JSON.parse(seen) ? 1 : 0);
