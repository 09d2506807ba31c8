import assert from "node:assert/strict";
import { test } from "node:test";

import { SignedMessage } from "@bsv/sdk";

import { fromBase64, systemRandom } from "../src/crypto/bytes";
import { verify } from "../src/crypto/brc77";
import { Identity } from "../src/crypto/identity";
import { signedText } from "../src/crypto/token";
import { type Api, ApiError, type ApprovalFacts, approve, deny, fetchApproval, linkIdentity, loadBackup, removeBackup, removeIdentity, saveBackup, setProfile, signIn } from "../src/signing";
import { StatementError, userCodeHash } from "../src/statement";
import { now, testIdentity } from "./vectors";

const issuer = "https://id.example.org";
const signer = testIdentity();
const voucher = Identity.create("home", systemRandom);

interface Sent {
  method: string;
  path: string;
  body: string;
  token: string | null;
  vouch: string | null;
  init: RequestInit;
}

/** A server that gives one answer and remembers what it was sent. */
function server(answer: unknown, status = 200): { api: Api; sent: Sent[] } {
  const sent: Sent[] = [];
  const fetch: typeof globalThis.fetch = function (this: unknown, input, init = {}) {
    assert.equal(this, undefined, "a browser's fetch may not be called as a method");
    sent.push({
      method: init.method ?? "", path: input as string, body: (init.body as string | undefined) ?? "",
      token: new Headers(init.headers).get("X-Auth-Token"), vouch: new Headers(init.headers).get("X-Vouch-Token"), init,
    });
    return Promise.resolve(new Response(typeof answer === "string" ? answer : JSON.stringify(answer), { status }));
  };
  return { api: { issuer, fetch, now: () => now }, sent };
}

/** The one request that was sent; its token must cover exactly that request. */
async function theOne(sent: Sent[]): Promise<Sent & { json: unknown }> {
  assert.equal(sent.length, 1);
  const request = sent[0]!;
  assert.equal(request.init.credentials, "same-origin");
  assert.equal(request.init.redirect, "error");
  assert.equal(new Headers(request.init.headers).get("Content-Type"), request.body === "" ? null : "application/json");
  for (const [token, by] of [[request.token, signer.pubkey], [request.vouch, voucher.pubkey]] as const) {
    if (token === null) continue;
    const [pubkey, , timestamp, path, signature] = token.split("|") as [string, string, string, string, string];
    const message = await signedText(path, timestamp, request.body);
    assert.equal(path, request.path);
    assert.equal(timestamp, now.toISOString());
    assert.equal(pubkey, by);
    assert.equal(verify(message, fromBase64(signature)), by);
    assert.equal(SignedMessage.verify(Array.from(message), Array.from(fromBase64(signature))), true);
  }
  return { ...request, json: request.body === "" ? undefined : (JSON.parse(request.body) as unknown) };
}

async function facts(change: Partial<ApprovalFacts> = {}): Promise<ApprovalFacts> {
  const statement = JSON.stringify({
    v: 1, iss: issuer, purpose: "device-approval", user_code_hash: await userCodeHash("BCDF-GHJK"), client_id: "my-app", scope: "openid profile",
    bap_id: signer.bapId, nonce: "n", iat: now.getTime() / 1000, exp: now.getTime() / 1000 + 300,
  });
  const scopes = ["openid", "profile"].map((scope) => ({ scope, text: "", weight: "reads", optional: false }));
  return {
    user_code: "BCDF-GHJK", status: "pending", client: { client_id: "my-app", client_name: "My app", registered: true, verified: true }, scopes, requested_at: 0, expires_at: 0,
    seen: { network: "same" }, device: {}, match: { kind: "none" }, signature_required: false, lasts: 3600, renewed: false,
    identity: { bap_id: signer.bapId, pubkey: signer.pubkey, name: "" }, statement, ...change,
  };
}

test("signing in signs the path and the identity", async () => {
  const user = { id: "u", name: "satoshi", image: null, bapId: signer.bapId, pubkey: signer.pubkey };
  const { api, sent } = server({ user, token: "t" });
  assert.deepEqual(await signIn(api, signer), user);
  const request = await theOne(sent);
  assert.deepEqual([request.method, request.path, request.json], ["POST", "/api/auth/sign-in/sigma", { bapId: signer.bapId, aud: issuer }]);
});

test("an approval is fetched with a signature over path and query", async () => {
  const { api, sent } = server(await facts());
  assert.equal((await fetchApproval(api, signer, "bcdf|ghjk ✓", "openid profile")).user_code, "BCDF-GHJK");
  const request = await theOne(sent);
  assert.deepEqual([request.method, request.path], ["GET", "/api/auth/device/approval?user_code=bcdf%7Cghjk+%E2%9C%93&scope=openid+profile&aud=https%3A%2F%2Fid.example.org"]);
  assert.ok(request.token);
});

test("an approval sends the statement, byte for byte, and signs it", async () => {
  for (const match of ["", "47"]) {
    const { api, sent } = server({ success: true, grant_id: "n" });
    const shown = await facts();
    assert.equal(await approve(api, signer, shown, match), "n");
    const request = await theOne(sent);
    assert.deepEqual([request.method, request.path], ["POST", "/api/auth/device/approve"]);
    assert.deepEqual(request.json, { userCode: "BCDF-GHJK", statement: shown.statement, ...(match && { match }) });
    assert.ok(request.token);
  }
});

test("nothing is signed or sent when the statement is not what was shown", async () => {
  const narrowed = await facts({ scopes: [{ scope: "openid", text: "", weight: "reads", optional: false }] });
  const renamed = await facts({ client: { client_id: "other", client_name: "My app", registered: true, verified: true } });
  for (const shown of [narrowed, renamed, await facts({ user_code: "ZZZZ-ZZZZ" }), await facts({ statement: "{}" })]) {
    const { api, sent } = server({ success: true });
    await assert.rejects(approve(api, signer, shown), StatementError);
    assert.equal(sent.length, 0);
  }
  const { api, sent } = server({ success: true });
  await assert.rejects(approve({ ...api, issuer: "https://other.example" }, signer, await facts()), StatementError);
  assert.equal(sent.length, 0);
});

test("a denial may report", async () => {
  for (const report of [false, true]) {
    const { api, sent } = server({ success: true });
    await deny(api, signer, "BCDF-GHJK", report);
    const request = await theOne(sent);
    assert.deepEqual([request.path, request.json], ["/api/auth/device/deny", { userCode: "BCDF-GHJK", aud: issuer, ...(report && { report }) }]);
    assert.ok(request.token);
  }
});

test("N-07: linking an identity and setting a profile name the server they are for", async () => {
  const linked = { bap_id: signer.bapId, user_id: "u", account_pubkey: signer.pubkey, name: "work" };
  const link = server({ bapId: linked });
  assert.deepEqual(await linkIdentity(link.api, signer, "work", voucher), linked);
  const linking = await theOne(link.sent);
  assert.deepEqual([linking.method, linking.path, linking.json], ["POST", "/api/user/bap-ids", { bapId: signer.bapId, name: "work", vouchedBy: voucher.bapId, aud: issuer }]);
  assert.ok(linking.vouch);

  const remove = server({ success: true });
  await removeIdentity(remove.api, signer, "a+b");
  const removing = await theOne(remove.sent);
  assert.deepEqual([removing.method, removing.path, removing.json], ["POST", "/api/user/bap-ids/a%2Bb/remove", { aud: issuer }]);
  assert.ok(removing.token);

  const profile = server({ bapId: signer.bapId, name: "Satoshi" });
  assert.equal((await setProfile(profile.api, signer, { name: "Satoshi", picture: "https://p" })).name, "Satoshi");
  const setting = await theOne(profile.sent);
  assert.deepEqual([setting.method, setting.path], ["PUT", "/api/bap/profile"]);
  assert.deepEqual(setting.json, { name: "Satoshi", picture: "https://p", bapId: signer.bapId, aud: issuer });
  assert.ok(linking.token && setting.token);
});

test("backups travel encrypted, and are kept and removed with a signature", async () => {
  const save = server({ success: true });
  await saveBackup(save.api, signer, signer.bapId, "AAAA");
  const saving = await theOne(save.sent);
  assert.deepEqual([saving.method, saving.path, saving.json], ["POST", "/api/backup", { encryptedBackup: "AAAA", bapId: signer.bapId, aud: issuer }]);
  assert.ok(saving.token);

  const remove = server({ success: true });
  await removeBackup(remove.api, signer, "a+b");
  const removing = await theOne(remove.sent);
  assert.deepEqual([removing.method, removing.path, removing.json], ["POST", "/api/backup/remove", { bapId: "a+b", aud: issuer }]);
  assert.ok(removing.token);

  const load = server({ encryptedBackup: "AAAA" });
  assert.equal(await loadBackup(load.api, "a+b"), "AAAA");
  const loading = await theOne(load.sent);
  assert.deepEqual([loading.method, loading.path, loading.token], ["GET", "/api/backup?bapId=a%2Bb", null]);
});

test("a refusal carries status, code and description", async () => {
  const cases: [unknown, number, [number, string, string]][] = [
    [{ error: "expired_token", error_description: "this code has expired: start again" }, 400, [400, "expired_token", "this code has expired: start again"]],
    [{ error: "access_denied" }, 403, [403, "access_denied", "access_denied"]],
    ["<html>", 502, [502, "server_error", "the server answered 502 without saying why: try again"]],
    [null, 500, [500, "server_error", "the server answered 500 without saying why: try again"]],
    ["not JSON", 200, [200, "server_error", "the server's answer cannot be read: try again"]],
  ];
  for (const [answer, status, want] of cases) {
    await assert.rejects(signIn(server(answer, status).api, signer), (e) => {
      assert.ok(e instanceof ApiError);
      assert.deepEqual([e.status, e.error, e.description], want);
      return true;
    });
  }
});

test("a bad server's answers are refused, whatever they are, and nothing is approved", async () => {
  const unreadable = (e: unknown) => e instanceof ApiError && e.error === "server_error";
  const good = await facts();
  const members = Object.keys(good).filter((name) => ["user_code", "client", "scopes", "statement"].includes(name));
  const wrong = members.flatMap((name) => [null, 7, "", [null], {}].map((value) => ({ ...good, [name]: value })));
  for (const answer of [null, 7, "text", [], {}, ...wrong]) {
    await assert.rejects(fetchApproval(server(JSON.stringify(answer)).api, signer, "BCDF-GHJK"), unreadable, JSON.stringify(answer));
  }
  for (const grant of [undefined, null, 7, "", "another", {}]) {
    await assert.rejects(approve(server({ success: true, grant_id: grant }).api, signer, good), unreadable, JSON.stringify(grant));
  }
  for (const answer of [null, 7, {}, { user: null }, { user: "x" }, { user: { bapId: "another" } }]) {
    await assert.rejects(signIn(server(JSON.stringify(answer)).api, signer), unreadable, JSON.stringify(answer));
  }
  for (const answer of [null, {}, { encryptedBackup: null }, { encryptedBackup: ["AAAA"] }, { encryptedBackup: "" }]) {
    await assert.rejects(loadBackup(server(JSON.stringify(answer)).api, signer.bapId), unreadable, JSON.stringify(answer));
  }
});

test("a server that is not reached is a refusal with status 0", async () => {
  const fetch = () => Promise.reject(new TypeError("Failed to fetch"));
  await assert.rejects(signIn({ issuer, fetch, now: () => now }, signer), (e) => e instanceof ApiError && e.status === 0 && e.error === "unreachable");
});

test("what a signer throws reaches the caller, and nothing is sent", async () => {
  const { api, sent } = server({});
  const locked = testIdentity();
  locked.forget();
  await assert.rejects(signIn(api, locked), /locked/);
  assert.equal(sent.length, 0);
});
