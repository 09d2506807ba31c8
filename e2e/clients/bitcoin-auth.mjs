// Signs in as the two kinds of existing clients do, with the token that the
// bitcoin-auth package makes: "{}" that is not signed, and a signed {"bapId"}.
import { getAuthToken } from "bitcoin-auth";
import { issuer, tell } from "./story.mjs";

const requestPath = "/api/auth/sign-in/sigma";
const privateKeyWif = process.env.OWNER_WIF;

async function signIn(form, token, body) {
  const response = await fetch(issuer + requestPath, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Auth-Token": token },
    body,
  });
  tell("signed-in", { form, status: response.status, cookie: response.headers.get("set-cookie"), answer: await response.json() });
}

const signed = JSON.stringify({ bapId: process.env.OWNER_BAP_ID });
const unsignedToken = getAuthToken({ privateKeyWif, requestPath });
await signIn("unsigned", unsignedToken, "{}");
await signIn("again", unsignedToken, "{}");
await signIn("signed", getAuthToken({ privateKeyWif, requestPath, body: signed }), signed);
await signIn("bsm", getAuthToken({ privateKeyWif, requestPath, scheme: "bsm", body: signed }), signed);
await signIn("body not signed", getAuthToken({ privateKeyWif, requestPath }), signed);
