// An app with the Sigma plugin, which knows what its .env.local says and nothing else. The
// plugin's browser side has the members of a window that it looks at. The app's back end
// is the plugin's handler for Next.js, its plugin on a Better Auth server, and the function
// that both call.
import { sigmaClient } from "@sigma-auth/better-auth-plugin/client";
import { createCallbackHandler } from "@sigma-auth/better-auth-plugin/next";
import { exchangeCodeForTokens } from "@sigma-auth/better-auth-plugin/server";
import { led } from "./browser.mjs";
import { betterAuthOn } from "./sigma-better-auth.mjs";
import { tell } from "./story.mjs";

const app = process.env.NEXT_PUBLIC_APP_URL;
const clientId = process.env.NEXT_PUBLIC_SIGMA_CLIENT_ID;
const issuerUrl = process.env.NEXT_PUBLIC_SIGMA_AUTH_URL;
const memberPrivateKey = process.env.SIGMA_MEMBER_PRIVATE_KEY;
const redirectUri = `${app}/auth/sigma/callback`;

const kept = new Map();
globalThis.sessionStorage = globalThis.localStorage = {
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => kept.set(name, value),
  removeItem: (name) => kept.delete(name),
};
const browser = sigmaClient().getActions();

// signIn is what the app's button does; it returns the parameters of its callback page.
async function signIn() {
  const url = await new Promise((go) => {
    globalThis.window = { location: { origin: app, host: new URL(app).host, set href(url) { go(url); } } };
    browser.signIn.sigma({ clientId });
  });
  return (await led(url)).searchParams;
}

// Requests of the app's own page go to its back end.
const network = globalThis.fetch;
let backEnd;
globalThis.fetch = (to, init) => (String(to).startsWith("/") ? backEnd(new Request(app + to, init)) : network(to, init));

async function attempt(name, what) {
  try {
    tell("done", { name, ...(await what()) });
  } catch (error) {
    tell("refused", { name, title: error.title ?? error.error, text: error.message ?? error.details, status: error.status });
  }
}

backEnd = createCallbackHandler();
await attempt("Next.js", async () => ({ claims: (await browser.sigma.handleCallback(await signIn())).user }));

backEnd = createCallbackHandler({ memberPrivateKey: process.env.OTHER_PRIVATE_KEY });
await attempt("Next.js with another key", async () => browser.sigma.handleCallback(await signIn()));

const auth = await betterAuthOn(":memory:");
let cookie;
backEnd = async (request) => {
  const answer = await auth.handler(request);
  cookie = answer.headers.get("set-cookie");
  return answer;
};
await attempt("Better Auth", async () => {
  const { user } = await browser.sigma.handleCallback(await signIn());
  const { adapter } = await auth.$context;
  return { claims: user, cookie, users: await adapter.findMany({ model: "user" }), accounts: await adapter.findMany({ model: "account" }) };
});

const exchange = (code, changes) =>
  exchangeCodeForTokens({ code, redirectUri, clientId, memberPrivateKey, codeVerifier: kept.get("sigma_code_verifier"), issuerUrl, ...changes });
const code = (await signIn()).get("code");
await attempt("another key", () => exchange(code, { memberPrivateKey: process.env.OTHER_PRIVATE_KEY }));
await attempt("another client", () => exchange(code, { clientId: "nobody" }));
await attempt("another redirect", () => exchange(code, { redirectUri: `${app}/elsewhere` }));
await attempt("a slash behind the issuer", async () => ({ claims: (await exchange(code, { issuerUrl: `${issuerUrl}/` })).user }));
await attempt("the code again", () => exchange(code));
