// What Sigma's command line asks in turn, with the tokens that the bitcoin-auth package
// makes: it wants to sign in, signs up where it is nobody yet, and stops unless it is who it
// asked to be; then it says and asks which identities and clients it has.
import { getAuthToken } from "bitcoin-auth";
import { issuer as server, tell } from "./story.mjs";

const { OWNER_WIF: privateKeyWif, OWNER_BAP_ID: bapId, OWNER_PUBKEY: accountPubkey } = process.env;
const signIn = "/api/auth/sign-in/sigma";
const signUp = "/api/auth/sign-up/sigma";
let cookie;

async function ask(step, method, path, members, headers) {
  const body = members && JSON.stringify(members);
  const response = await fetch(server + path, {
    method,
    body,
    headers: { ...(body && { "Content-Type": "application/json" }), ...(cookie && { Cookie: cookie }), ...headers },
  });
  const answer = await response.json();
  tell("asked", { step, status: response.status, answer });
  const given = response.headers.get("set-cookie")?.split(";")[0];
  return { answer, given };
}

await ask("bap-ids of the key", "GET", `/api/user/bap-ids?pubkey=${accountPubkey}`);
const restored = { bapId };
await ask("sign-in", "POST", signIn, restored, {
  "X-Auth-Token": getAuthToken({ privateKeyWif, requestPath: signIn, body: JSON.stringify(restored) }),
});
const enrolment = { bapId, intent: "sign-up" };
const enrolled = await ask("sign-up", "POST", signUp, enrolment, {
  "X-Auth-Token": getAuthToken({ privateKeyWif, requestPath: signIn }),
  "X-Sigma-Enrollment-Proof": getAuthToken({ privateKeyWif, requestPath: signUp, body: JSON.stringify(enrolment) }),
});
if (enrolled.answer.user?.id && enrolled.answer.user.pubkey === accountPubkey && enrolled.given) {
  cookie = enrolled.given;
  await ask("say the identity", "POST", "/api/user/bap-ids", { bapId, name: "Main", isPrimary: true, accountPubkey, counter: 0 });
  await ask("bap-ids", "GET", "/api/user/bap-ids");
  await ask("profile", "GET", `/api/bap/profile?bapId=${bapId}`);
  await ask("last identity", "GET", `/api/user/last-oauth-identity?pubkey=${accountPubkey}&clientId=my-app`);
  await ask("a client of theirs", "POST", "/api/oauth-clients", {
    clientId: "the-app",
    ownerBapId: bapId,
    name: "The app",
    redirectUris: ["http://localhost:3000/auth/sigma/callback"],
    accountPubkey,
  });
  await ask("a client of nobody", "POST", "/api/oauth-clients", { clientId: "another-app", ownerBapId: bapId, name: "Another", redirectUris: ["https://other.example/back"], accountPubkey });
  await ask("clients", "GET", "/api/oauth-clients?clientId=the-app");
} else {
  tell("asked", { step: "enrollment_unverified" });
}
