import * as client from "openid-client";
import { clientId, issuer, scope, tell, tellError } from "./story.mjs";

try {
  const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
    execute: [client.allowInsecureRequests],
  });
  const started = await client.initiateDeviceAuthorization(config, { scope });
  tell("code", { user_code: started.user_code });
  const tokens = await client.pollDeviceAuthorizationGrant(config, started);
  const id = tokens.claims(); // verified against discovery and lifetimes by the library
  const claims = await client.fetchUserInfo(config, tokens.access_token, id.sub);
  tell("userinfo", { claims, id_token_claims: id });
} catch (error) {
  tellError(error);
}
