// oidc-provider with its device flow and one public client, as its documentation
// asks for in production: keys of its own for signing and cookies, its development
// pages off. Only the storage is its built-in one, in memory: it has no other.
//
//   node oidc-provider.mjs
//
// prints "version …" and, once it serves, "listening ORIGIN".
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { Provider } from "oidc-provider";
import { serve, tellVersions } from "./server.mjs";

function handler(issuer) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "my-app",
      token_endpoint_auth_method: "none",
      id_token_signed_response_alg: "ES256",
      grant_types: ["urn:ietf:params:oauth:grant-type:device_code"],
      response_types: [],
      redirect_uris: [],
    }],
    claims: { openid: ["sub"], profile: ["name"] },
    cookies: { keys: [randomBytes(32).toString("base64")] },
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" }] },
    features: {
      deviceFlow: { enabled: true },
      devInteractions: { enabled: false },
    },
    ttl: { DeviceCode: 15 * 60 },
  });
  return provider.callback();
}

tellVersions("oidc-provider");
console.log(`listening ${await serve(handler)}`);
