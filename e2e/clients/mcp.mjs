// A program with one of the two SDKs of the Model Context Protocol, as a registered client
// of an MCP server: it reads, is asked for more scope when it writes, goes on when its token
// is over, and is told what its user refused. Both SDKs find the issuer by themselves.
//   node mcp.mjs sdk|client [bound]
import { led } from "./browser.mjs";
import { tell } from "./story.mjs";

const [name, bound] = process.argv.slice(2);
const old = name === "sdk";
const v1 = "@modelcontextprotocol/sdk/client";
const library = old
  ? { ...(await import(`${v1}/index.js`)), ...(await import(`${v1}/streamableHttp.js`)), ...(await import(`${v1}/auth.js`)) }
  : await import("@modelcontextprotocol/client");
const { auth, Client, StreamableHTTPClientTransport, UnauthorizedError } = library;

const serverUrl = new URL(process.env.MCP_SERVER);
const { CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;

// newProvider is what an application has to say of itself, and where it keeps what it is given.
function newProvider() {
  const kept = { asked: 0 };
  return {
    kept,
    redirectUrl: REDIRECT_URI,
    clientMetadata: { client_name: "An agent", redirect_uris: [REDIRECT_URI], grant_types: ["authorization_code", "refresh_token"] },
    clientInformation: () => ({ client_id: CLIENT_ID, ...(CLIENT_SECRET && { client_secret: CLIENT_SECRET }) }),
    state: () => (kept.state = crypto.randomUUID()),
    tokens: () => kept.tokens,
    saveTokens: (tokens) => (kept.tokens = tokens),
    codeVerifier: () => kept.verifier,
    saveCodeVerifier: (verifier) => (kept.verifier = verifier),
    discoveryState: () => kept.discovery,
    saveDiscoveryState: (discovery) => (kept.discovery = discovery),
    redirectToAuthorization(url) {
      kept.asked++;
      kept.url = url;
    },
    ...(bound && { dpop: () => session }),
  };
}
const session = bound && (await library.DpopSession.create());
const provider = newProvider();

// answered is what came back from where the SDK sent its user.
async function answered(of = provider) {
  const answer = (await led(of.kept.url)).searchParams;
  if (answer.get("state") !== of.kept.state) throw new Error("another state came back");
  return answer;
}

async function call(tool, args = {}) {
  const transport = new StreamableHTTPClientTransport(serverUrl, { authProvider: provider });
  const client = new Client({ name: "agent", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
  try {
    await client.connect(transport);
    const answer = await client.callTool({ name: tool, arguments: args });
    if (transport.sessionId) throw new Error("a session is of whoever began it");
    return answer.content[0].text;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const answer = await answered();
    await transport.finishAuth(old ? answer.get("code") : answer);
    return call(tool, args);
  } finally {
    await client.close();
  }
}

const claims = () => JSON.parse(Buffer.from(provider.kept.tokens.access_token.split(".")[1], "base64url"));
const report = (what, text) => tell("done", { name: what, text, claims: { asked: provider.kept.asked, ...claims() }, types: [provider.kept.tokens.token_type] });

// expired waits until the access token is over.
const expired = () => new Promise((resolve) => setTimeout(resolve, claims().exp * 1000 - Date.now() + 100));

try {
  report("read", await call("read"));
  report("write", await call("write", { text: `by ${CLIENT_ID}` }));
  if (old) {
    // It asks for what a challenge says, which is never to stay signed in.
    provider.kept.tokens = undefined;
    const scope = "notes:read notes:write offline_access";
    await auth(provider, { serverUrl, scope });
    await auth(provider, { serverUrl, authorizationCode: (await answered()).get("code") });
  }
  const { refresh_token } = provider.kept.tokens;
  await expired();
  report("later", await call("read"));
  if (!refresh_token || provider.kept.tokens.refresh_token === refresh_token) throw new Error("the refresh token is the one from before");
} catch (error) {
  tell("refused", { name, text: `${error.stack} ${JSON.stringify(error.cause)}` });
}

if (!old) {
  // What its user refuses comes back with the issuer, which the SDK compares (RFC 9207).
  for (const iss of [undefined, "https://evil.example"]) {
    const stranger = newProvider();
    const transport = new StreamableHTTPClientTransport(serverUrl, { authProvider: stranger });
    try {
      await auth(stranger, { serverUrl, scope: "notes:admin" });
      const answer = await answered(stranger);
      if (iss) answer.set("iss", iss);
      await transport.finishAuth(answer);
    } catch (error) {
      tell("refused", { name: iss ? "another issuer" : "a scope of nobody's", error: error.code ?? error.name, text: String(error) });
    }
  }
}
