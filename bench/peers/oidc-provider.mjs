// oidc-provider with its device flow and a client of each kind, as its documentation
// asks for in production: keys of its own for signing and cookies, its development
// pages off, unless they are asked for. Only the storage is its built-in one, in
// memory: it has no other.
//
//   node oidc-provider.mjs [pages]
//
// prints "version …", a "refresh …" for each of 32 grants of the client "bench-service",
// whose secret is "bench", an "access …" and, once it serves, "listening ORIGIN".
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

let provider;
function handler(issuer) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  provider = new Provider(issuer, {
    clients: [
      { ...client, client_id: "my-app", token_endpoint_auth_method: "none" },
      { ...client, client_id: "my app: basic", client_secret: secret, token_endpoint_auth_method: "client_secret_basic" },
      {
        ...client,
        client_id: "bench-service",
        client_secret: "bench",
        token_endpoint_auth_method: "client_secret_basic",
        introspection_endpoint_auth_method: "client_secret_basic",
      },
      { ...client, client_id: "my app: post", client_secret: secret, token_endpoint_auth_method: "client_secret_post" },
    ],
    claims: { openid: ["sub"], profile: ["name"] },
    cookies: { keys: [randomBytes(32).toString("base64")] },
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" }] },
    features: {
      deviceFlow: { enabled: true },
      devInteractions: { enabled: process.argv[2] === "pages" },
      revocation: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
    },
    // Its default for clients that authenticate is to rotate when a token is nearly over; ours always does.
    rotateRefreshToken: true,
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: { DeviceCode: lifetime },
  });
  return provider.callback();
}

// granted is what the token endpoint would have made once the owner of a code had
// consented on pages that its deployer writes.
async function granted() {
  const client = await provider.Client.find("bench-service");
  const grant = new provider.Grant({ accountId: "owner", clientId: client.clientId });
  grant.addOIDCScope("openid offline_access");
  const kept = {
    client,
    accountId: "owner",
    grantId: await grant.save(),
    gty: "urn:ietf:params:oauth:grant-type:device_code",
    scope: "openid offline_access",
    authTime: Math.floor(Date.now() / 1000),
  };
  return { refresh: await new provider.RefreshToken({ ...kept, rotations: 0 }).save(), access: await new provider.AccessToken(kept).save() };
}

tellVersions("oidc-provider");
const origin = await serve(handler);
let tokens;
for (let i = 0; i < 32; i++) {
  tokens = await granted();
  console.log(`refresh ${tokens.refresh}`);
}
console.log(`access ${tokens.access}`);
console.log(`listening ${origin}`);
