// oidc-provider with its device flow and a client of each kind, as its documentation
// asks for in production: keys of its own for signing and cookies, its development
// pages off, unless they are asked for. Only the storage is its built-in one, in
// memory: it has no other.
//
//   node oidc-provider.mjs [pages]
//
// prints "version …" and, once it serves, "listening ORIGIN".
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { Provider } from "oidc-provider";
import { lifetime, serve, tellVersions } from "./server.mjs";

const client = {
  id_token_signed_response_alg: "ES256",
  grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
  response_types: [],
  redirect_uris: [],
};
// What an id and a secret may consist of (RFC 6749 appendix A) and what must be encoded where.
const secret = "s:+&c %41=/~";

function handler(issuer) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const provider = new Provider(issuer, {
    clients: [
      { ...client, client_id: "my-app", token_endpoint_auth_method: "none" },
      { ...client, client_id: "my app: basic", client_secret: secret, token_endpoint_auth_method: "client_secret_basic" },
      { ...client, client_id: "my app: post", client_secret: secret, token_endpoint_auth_method: "client_secret_post" },
    ],
    claims: { openid: ["sub"], profile: ["name"] },
    cookies: { keys: [randomBytes(32).toString("base64")] },
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" }] },
    features: {
      deviceFlow: { enabled: true },
      devInteractions: { enabled: process.argv[2] === "pages" },
      revocation: { enabled: true },
    },
    ttl: { DeviceCode: lifetime },
  });
  return provider.callback();
}

tellVersions("oidc-provider");
console.log(`listening ${await serve(handler)}`);
