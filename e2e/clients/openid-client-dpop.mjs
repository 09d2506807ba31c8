// openid-client with DPoP: a device code that is bound to its key, tokens, userinfo,
// refresh, and what comes of the tokens without the key.
import * as client from "openid-client";
import { issuer, tell, tellError } from "./story.mjs";

try {
  const config = await client.discovery(new URL(issuer), "countersign-cli", undefined, client.None(), {
    execute: [client.allowInsecureRequests],
  });
  const alg = process.env.PROOF_ALG;
  if (!config.serverMetadata().dpop_signing_alg_values_supported.includes(alg)) throw new Error(`${alg} is not advertised`);
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg));
  const started = await client.initiateDeviceAuthorization(config, {
    scope: "openid profile offline_access",
    dpop_jkt: await DPoP.calculateThumbprint(),
  });
  tell("code", { user_code: started.user_code });
  const tokens = await client.pollDeviceAuthorizationGrant(config, started, undefined, { DPoP });
  const id = tokens.claims();
  await client.fetchUserInfo(config, tokens.access_token, id.sub, { DPoP });
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
  const claims = await client.fetchUserInfo(config, fresh.access_token, id.sub, { DPoP });

  const refused = {};
  for (const [name, use] of Object.entries({
    bearer: () => client.fetchUserInfo(config, fresh.access_token, id.sub),
    refresh: () => client.refreshTokenGrant(config, fresh.refresh_token),
    "another key": async () =>
      client.refreshTokenGrant(config, fresh.refresh_token, undefined, {
        DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")),
      }),
  })) {
    refused[name] = await use().then(
      () => "nothing",
      (error) => error.error ?? error.cause?.[0]?.parameters?.error ?? error.code,
    );
  }
  await client.tokenRevocation(config, fresh.refresh_token);
  tell("userinfo", { claims, id_token_claims: id, types: [tokens.token_type, fresh.token_type], refused });
} catch (error) {
  tellError(error);
}
