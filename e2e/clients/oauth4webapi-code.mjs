// oauth4webapi in the authorization code flow, each step and each check by itself: what the
// browser brings back, the code, the ID token and its signature, userinfo, refresh,
// revocation, and the end of the session.
import * as oauth from "oauth4webapi";
import { led } from "./browser.mjs";
import { issuer, tell } from "./story.mjs";

const insecure = { [oauth.allowInsecureRequests]: true };
const redirect_uri = process.env.REDIRECT_URI;
const me = { client_id: process.env.CLIENT_ID };
const authentication = oauth.ClientSecretBasic(process.env.CLIENT_SECRET);

const url = new URL(issuer);
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure));

const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const expectedNonce = oauth.generateRandomNonce();
const to = new URL(as.authorization_endpoint);
to.search = new URLSearchParams({
  ...me,
  redirect_uri,
  response_type: "code",
  scope: "openid profile offline_access",
  state,
  nonce: expectedNonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
const came = oauth.validateAuthResponse(as, me, await led(to), state);
const traded = await oauth.authorizationCodeGrantRequest(as, me, authentication, came, redirect_uri, verifier, insecure);
const tokens = await oauth.processAuthorizationCodeResponse(as, me, traded, { expectedNonce, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, traded, insecure);
const { sub } = oauth.getValidatedIdTokenClaims(tokens);

const renewed = await oauth.refreshTokenGrantRequest(as, me, authentication, tokens.refresh_token, insecure);
const fresh = await oauth.processRefreshTokenResponse(as, me, renewed);
const claims = await oauth.processUserInfoResponse(as, me, sub, await oauth.userInfoRequest(as, me, fresh.access_token, insecure));

await oauth.processRevocationResponse(await oauth.revocationRequest(as, me, authentication, fresh.refresh_token, insecure));
const refused = {};
try {
  await oauth.processUserInfoResponse(as, me, sub, await oauth.userInfoRequest(as, me, fresh.access_token, insecure));
} catch (error) {
  refused.userinfo = error.cause[0].parameters.error;
}

const out = new URL(as.end_session_endpoint);
out.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: process.env.OUT_URI, state });
const left = await led(out);
tell("done", { claims, id_token_claims: { sub }, refused, signed_out: left.searchParams.get("state") === state });
