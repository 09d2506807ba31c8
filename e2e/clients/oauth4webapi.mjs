import * as oauth from "oauth4webapi";
import { clientId, issuer, scope, tell, tellError } from "./story.mjs";

const insecure = { [oauth.allowInsecureRequests]: true };

try {
  const url = new URL(issuer);
  const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure }));
  const me = { client_id: clientId };
  const asked = await oauth.deviceAuthorizationRequest(as, me, oauth.None(), { scope }, insecure);
  const started = await oauth.processDeviceAuthorizationResponse(as, me, asked);
  tell("code", { user_code: started.user_code });

  let interval = started.interval ?? 5;
  let tokens;
  let answered;
  while (!tokens) {
    await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    answered = await oauth.deviceCodeGrantRequest(as, me, oauth.None(), started.device_code, insecure);
    try {
      tokens = await oauth.processDeviceCodeResponse(as, me, answered);
    } catch (error) {
      if (error.error === "slow_down") interval += 5;
      else if (error.error !== "authorization_pending") throw error;
    }
  }
  const id = oauth.getValidatedIdTokenClaims(tokens);
  // The library fetches the keys and checks the ID token's signature with them.
  await oauth.validateApplicationLevelSignature(as, answered, insecure);
  const told = await oauth.userInfoRequest(as, me, tokens.access_token, insecure);
  const claims = await oauth.processUserInfoResponse(as, me, id.sub, told);
  tell("userinfo", { claims, id_token_claims: id });
} catch (error) {
  tellError(error);
}
