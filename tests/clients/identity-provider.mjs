// An OpenID Connect provider (npm `oidc-provider`) whose every visitor is `alice`, who agrees to everything. Usage:
// node identity-provider.mjs PORT RESOURCE; prints `ready` once it serves. Clients register themselves; `batch` is
// known, with the secret `batch-secret`. Tokens are JWTs for RESOURCE. `gateway`, with the secret `gateway-secret`, may
// exchange them for tokens of the same subject for another audience (RFC 8693).

import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { pathToFileURL } from "node:url";
import { require } from "./client.mjs";

const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
const jose = await import(pathToFileURL(require.resolve("jose")));
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

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
    {
      client_id: "gateway",
      client_secret: "gateway-secret",
      grant_types: [EXCHANGE],
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

const parameters = ["audience", "scope", "subject_token", "subject_token_type", "requested_token_type"];
provider.registerGrantType(EXCHANGE, async (context) => {
  const { client, params } = context.oidc;
  const refuse = () => {
    context.status = 400;
    context.body = { error: "invalid_request" };
  };
  if (params.subject_token_type !== ACCESS_TOKEN) return refuse();
  const expected = { issuer: provider.issuer, audience: resource };
  const subject = await jose.jwtVerify(params.subject_token, createPublicKey(privateKey), expected).catch(() => null);
  if (!subject) return refuse();
  const token = new provider.AccessToken({ accountId: subject.payload.sub, client, scope: "mcp:tools" });
  token.resourceServer = new provider.ResourceServer(params.audience, { ...server, audience: params.audience });
  context.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: "Bearer",
    expires_in: token.expiration,
  };
}, parameters);

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
