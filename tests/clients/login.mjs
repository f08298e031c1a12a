// Who logs in at an identity provider, for the OAuth part of the TypeScript SDK 1.x: a browser of sorts, and what a client
// has to remember between its steps.

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

export class User {
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
