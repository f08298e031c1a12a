// Logs in as authorized.mjs does, with the TypeScript SDK 1.x and nothing but the gateway's URL. Prints the access token;
// each step on standard error. Usage: node token.mjs URL.

import { require } from "./client.mjs";
import { User } from "./login.mjs";

const { auth, extractWWWAuthenticateParams } = require("@modelcontextprotocol/sdk/client/auth.js");

// What the SDK asks for, and what it gets.
async function fetchFn(url, init) {
  const response = await fetch(url, init);
  console.error(`  ${init?.method ?? "GET"} ${url} -> ${response.status}`);
  return response;
}

const serverUrl = process.argv[2];
const refused = await fetchFn(serverUrl, { method: "POST", body: "{}" });
console.error(`  www-authenticate: ${refused.headers.get("www-authenticate")}`);
const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(refused);
const user = new User();
await auth(user, { serverUrl, resourceMetadataUrl, scope, fetchFn });
console.error("  the user logs in and agrees; the provider sends the client a code");
await auth(user, { serverUrl, resourceMetadataUrl, scope, fetchFn, authorizationCode: user.code });
console.log(user.held.access_token);
