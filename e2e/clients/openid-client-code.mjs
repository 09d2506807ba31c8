// openid-client in the authorization code flow, once for each way in which a client
// authenticates, with DPoP and without: PKCE, state, nonce and iss, which it checks by
// itself, an ID token whose signature it verifies, userinfo, refresh, introspection,
// revocation, and what it is told then. Then a service by itself, and an API that exchanges
// what an application sent it.
import * as client from "openid-client";
import { led } from "./browser.mjs";
import { issuer, tell } from "./story.mjs";

const redirect_uri = process.env.REDIRECT_URI;
const key = JSON.parse(process.env.CLIENT_KEY);
const ways = {
  none: ["notes", client.None()],
  client_secret_basic: ["notes-secret", client.ClientSecretBasic(process.env.CLIENT_SECRET)],
  client_secret_post: ["notes-secret", client.ClientSecretPost(process.env.CLIENT_SECRET)],
  private_key_jwt: [
    "notes-key",
    client.PrivateKeyJwt({ kid: key.kid, key: await crypto.subtle.importKey("jwk", key, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]) }),
  ],
};

const configure = (id, authentication) =>
  client.discovery(new URL(issuer), id, undefined, authentication, { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] });

// signIn sends the owner to the server, and trades the code that comes back.
async function signIn(config, DPoP, parameters) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const expectedState = client.randomState();
  const expectedNonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: "openid profile offline_access",
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...(DPoP && { dpop_jkt: await DPoP.calculateThumbprint() }),
    ...parameters,
  });
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
  return client.authorizationCodeGrant(config, await led(url), checks, undefined, { DPoP });
}

const refusal = (doing) =>
  doing.then(
    () => "nothing",
    (error) => error.error ?? error.cause?.[0]?.parameters?.error ?? error.code ?? String(error),
  );

for (const [way, [id, authentication]] of Object.entries(ways)) {
  for (const bound of [false, true]) {
    const name = bound ? `${way} with DPoP` : way;
    try {
      const config = await configure(id, authentication);
      const DPoP = bound ? client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")) : undefined;
      const tokens = await signIn(config, DPoP);
      const { sub, aud } = tokens.claims();
      await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
      const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
      const claims = await client.fetchUserInfo(config, fresh.access_token, sub, { DPoP });
      const introspected = way === "none" ? undefined : await client.tokenIntrospection(config, fresh.access_token);
      await client.tokenRevocation(config, fresh.refresh_token);
      const refused = {
        refresh: await refusal(client.refreshTokenGrant(config, fresh.refresh_token, undefined, { DPoP })),
        userinfo: await refusal(client.fetchUserInfo(config, fresh.access_token, sub, { DPoP })),
      };
      if (way === "none") refused["in silence"] = await refusal(signIn(config, DPoP, { prompt: "none" }));
      else refused.introspected = (await client.tokenIntrospection(config, fresh.access_token)).active ? "nothing" : "not active";
      tell("done", { name, claims, id_token_claims: { sub, aud }, types: [tokens.token_type, fresh.token_type], introspected, refused });
    } catch (error) {
      tell("refused", { name, error: error.error ?? error.code, text: `${error.stack} ${JSON.stringify(error.cause)}` });
    }
  }
}

try {
  const config = await configure("nightly", client.ClientSecretBasic(process.env.SERVICE_SECRET));
  const { access_token, token_type } = await client.clientCredentialsGrant(config);
  tell("done", { name: "a service", types: [token_type], introspected: await client.tokenIntrospection(config, access_token) });
} catch (error) {
  tell("refused", { name: "a service", error: error.error ?? error.code, text: `${error.stack} ${JSON.stringify(error.cause)}` });
}

// An API asks userinfo about whoever called it, with a token of its own for the one that the
// application sent it. Where that is bound to the application's key, the API proves its own.
for (const name of ["an API", "an API with DPoP"]) {
  const keyFor = async (config) =>
    name === "an API" ? undefined : client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256"));
  try {
    const app = await configure("notes-secret", client.ClientSecretBasic(process.env.CLIENT_SECRET));
    const sent = await signIn(app, await keyFor(app), { resource: process.env.API });
    const api = await configure("notes-api", client.ClientSecretBasic(process.env.API_SECRET));
    const DPoP = await keyFor(api);
    const tokens = await client.genericGrantRequest(
      api,
      "urn:ietf:params:oauth:grant-type:token-exchange",
      { subject_token: sent.access_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token", resource: issuer, scope: "openid profile" },
      { DPoP },
    );
    const { sub, aud } = sent.claims();
    const claims = await client.fetchUserInfo(api, tokens.access_token, sub, { DPoP });
    const introspected = await client.tokenIntrospection(api, tokens.access_token);
    await client.tokenRevocation(app, sent.refresh_token);
    const refused = { userinfo: await refusal(client.fetchUserInfo(api, tokens.access_token, sub, { DPoP })) };
    tell("done", { name, claims, id_token_claims: { sub, aud }, types: [tokens.token_type], introspected, refused });
  } catch (error) {
    tell("refused", { name, error: error.error ?? error.code, text: `${error.stack} ${JSON.stringify(error.cause)}` });
  }
}
