// An OpenID Connect provider (npm `oidc-provider`) whose every visitor is `alice`, who agrees to everything. Usage:
// node identity-provider.mjs PORT RESOURCE; prints `ready` once it serves. Clients register themselves; `batch` is
// known, with the secret `batch-secret`. Tokens are JWTs for RESOURCE.

import { generateKeyPairSync } from "node:crypto";
import { pathToFileURL } from "node:url";
import { require } from "./client.mjs";

const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const [port, resource] = process.argv.slice(2);
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const server = {
  scope: "mcp:tools mcp:admin",
  audience: resource,
  accessTokenFormat: "jwt",
  accessTokenTTL: 300,
  jwt: { sign: { alg: "ES256" } },
};

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "ES256", kid: "one" }] },
  clients: [
    {
      client_id: "batch",
      client_secret: "batch-secret",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
    },
  ],
  scopes: ["openid", "mcp:tools", "mcp:admin"],
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => server,
    },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
});

// Whoever asks is alice, and she agrees.
provider.use(async (context, next) => {
  if (!context.path.startsWith("/interaction/")) return next();
  const details = await provider.interactionDetails(context.req, context.res);
  if (details.prompt.name === "login") {
    return provider.interactionFinished(context.req, context.res, { login: { accountId: "alice" } });
  }
  const grant = new provider.Grant({ accountId: "alice", clientId: details.params.client_id });
  const scope = details.params.scope ?? "";
  grant.addOIDCScope(`openid ${scope}`);
  grant.addResourceScope(resource, scope);
  const consent = { grantId: await grant.save() };
  await provider.interactionFinished(context.req, context.res, { consent }, { mergeWithLastSubmission: true });
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
