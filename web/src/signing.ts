// What an owner asks the server from this browser. Each call signs as the server
// checks it: the token covers the path and the exact bytes of the body. A body
// that changes something names the server it is for (requirement N-07).

import { authHeader, authToken } from "./crypto/token";
import type { Signer } from "./crypto/signer";
import { checkStatement, type Shown } from "./statement";

/** Where the calls go, and the clock they are signed by. */
export interface Api {
  /** The server's issuer, which is what `aud` must say. */
  issuer: string;
  fetch: typeof fetch;
  now(): Date;
}

/** The server refused; or, with status 0, was not reached. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    /** The OAuth code of the refusal. */
    readonly error: string,
    /** What happened, and after a colon what to do. */
    readonly description: string,
    /** What tells refusals with the same OAuth code apart; of most there is none. */
    readonly code = "",
    options?: ErrorOptions,
  ) {
    super(description, options);
  }
}

export interface User {
  id: string;
  name: string;
  image: string | null;
  bapId: string;
  pubkey: string;
}

/** What a person is shown before deciding, and the statement to sign. */
export interface ApprovalFacts {
  user_code: string;
  status: string;
  client: { client_id: string; client_name: string; registered: boolean; verified: boolean };
  scopes: { scope: string; text: string; weight: string; optional: boolean }[];
  /** Whose APIs these are for; none: the server's alone. */
  resources?: { resource: string; name: string; host: string }[];
  requested_at: number;
  expires_at: number;
  seen: { network: string };
  device: { name?: string; platform?: string };
  match: { kind: "none" | "number" | "letters"; numbers?: string[] };
  signature_required: boolean;
  lasts: number;
  renewed: boolean;
  identity: { bap_id: string; pubkey: string; name: string };
  statement: string;
}

export interface LinkedIdentity {
  bap_id: string;
  user_id: string;
  account_pubkey: string;
  name: string;
}

export interface Profile {
  name?: string;
  given_name?: string;
  family_name?: string;
  picture?: string;
  description?: string;
}

/** Signs in, which also makes the account of a new identity. The session is a cookie. */
export async function signIn(api: Api, signer: Signer): Promise<User> {
  const { user } = await send<{ user: User }>(api, "POST", "/api/auth/sign-in/sigma", { bapId: signer.bapId, aud: api.issuer }, signer);
  expect((user as unknown) instanceof Object && user.bapId === signer.bapId);
  return user;
}

/** Adds the signer's identity to the account that is signed in, of which the voucher is an identity. */
export async function linkIdentity(api: Api, signer: Signer, name: string, voucher: Signer): Promise<LinkedIdentity> {
  // Both sign which identity vouches, so that the one that is added is added nowhere else.
  const body = { bapId: signer.bapId, name, vouchedBy: voucher.bapId, aud: api.issuer };
  return (await send<{ bapId: LinkedIdentity }>(api, "POST", "/api/user/bap-ids", body, signer, voucher)).bapId;
}

/** Takes an identity out of the account of the signer, which is another. */
export async function removeIdentity(api: Api, signer: Signer, bapId: string): Promise<void> {
  await send(api, "POST", `/api/user/bap-ids/${encodeURIComponent(bapId)}/remove`, { aud: api.issuer }, signer);
}

/** Replaces the profile of the signer's identity. */
export function setProfile(api: Api, signer: Signer, profile: Profile): Promise<Profile & { bapId: string }> {
  return send(api, "PUT", "/api/bap/profile", { ...profile, bapId: signer.bapId, aud: api.issuer }, signer);
}

/** The profile of the signer's identity; its members are missing where nothing is known. */
export function profileOf(api: Api, signer: Signer): Promise<Profile & { bapId: string }> {
  return send(api, "GET", `/api/bap/profile?${new URLSearchParams({ bapId: signer.bapId })}`, undefined, signer);
}

/** What a device asks; scope, space-separated, narrows what it would get. */
export async function fetchApproval(api: Api, signer: Signer, userCode: string, scope = ""): Promise<ApprovalFacts> {
  const query = new URLSearchParams({ user_code: userCode, ...(scope && { scope }) });
  const facts = await send<ApprovalFacts>(api, "GET", `/api/auth/device/approval?${query}`, undefined, signer);
  const { user_code, statement, client, scopes, resources } = facts as unknown as Record<string, unknown>;
  expect(areTexts(user_code, statement, (client as { client_id?: unknown } | null | undefined)?.client_id));
  expect(Array.isArray(scopes) && scopes.every((s: { scope?: unknown } | null) => areTexts(s?.scope)));
  expect(resources === undefined || (Array.isArray(resources) && resources.every((r: { resource?: unknown } | null) => areTexts(r?.resource))));
  return facts;
}

/** What the page showed of an approval, as its statement must say it. */
export function shownOf(api: Api, signer: Signer, facts: ApprovalFacts): Shown {
  return {
    issuer: api.issuer,
    userCode: facts.user_code,
    clientId: facts.client.client_id,
    scope: facts.scopes.map((s) => s.scope).join(" "),
    bapId: signer.bapId,
    resources: resourcesOf(facts),
  };
}

/** The URIs of whose APIs an approval is for. */
export function resourcesOf(facts: ApprovalFacts): string[] {
  return (facts.resources ?? []).map((r) => r.resource);
}

/**
 * Signs and sends an approval, and returns the grant's id. match is the number
 * or the letters that the device shows. Throws StatementError, before anything
 * is signed, when the statement is not what the facts say.
 */
export async function approve(api: Api, signer: Signer, facts: ApprovalFacts, match = ""): Promise<string> {
  const { nonce } = await checkStatement(facts.statement, shownOf(api, signer, facts), api.now());
  const body = { userCode: facts.user_code, statement: facts.statement, ...(match && { match }) };
  const { grant_id: grant } = await send<{ grant_id: unknown }>(api, "POST", "/api/auth/device/approve", body, signer);
  expect(grant === nonce); // the request that was signed, and no other, became a grant
  return nonce;
}

/** Denies; report says that the owner did not start it. */
export async function deny(api: Api, signer: Signer, userCode: string, report = false): Promise<void> {
  await send(api, "POST", "/api/auth/device/deny", { userCode, aud: api.issuer, ...(report && { report }) }, signer);
}

/** A passkey as the browser made it, for the identity's key to vouch for. */
export interface NewPasskey {
  ceremony: string;
  /** The credential's JSON. */
  credential: string;
  name: string;
}

/** Adds a passkey to the account that is signed in. The identity's key vouches for it. */
export async function addPasskey(api: Api, signer: Signer, passkey: NewPasskey): Promise<void> {
  await send(api, "POST", "/api/passkeys", { ...passkey, aud: api.issuer }, signer);
}

/** Keeps an encrypted backup at the server, for the account of the signer. */
export async function saveBackup(api: Api, signer: Signer, bapId: string, encryptedBackup: string): Promise<void> {
  await send(api, "POST", "/api/backup", { encryptedBackup, bapId, aud: api.issuer }, signer);
}

/** Removes an encrypted backup from the server. */
export async function removeBackup(api: Api, signer: Signer, bapId: string): Promise<void> {
  await send(api, "POST", "/api/backup/remove", { bapId, aud: api.issuer }, signer);
}

/** The encrypted backup that the server keeps for the account that is signed in. */
export async function loadBackup(api: Api, bapId: string): Promise<string> {
  const query = new URLSearchParams({ bapId });
  const { encryptedBackup } = await send<{ encryptedBackup: string }>(api, "GET", `/api/backup?${query}`);
  expect(areTexts(encryptedBackup));
  return encryptedBackup;
}

/** The header of the signature by a key that the account has, beside that of the key that is added. */
const vouchHeader = "X-Vouch-Token";

/**
 * Sends one request, signed when there are signers: then one without a body names the
 * server in its query. Throws ApiError, and whatever the signers throw.
 */
async function send<T>(api: Api, method: string, target: string, body?: object, signer?: Signer, voucher?: Signer): Promise<T> {
  const text = body && JSON.stringify(body);
  const named = signer && text === undefined ? `${target.includes("?") ? "&" : "?"}${new URLSearchParams({ aud: api.issuer })}` : "";
  const path = target + named;
  const headers = new Headers({ Accept: "application/json" });
  if (text !== undefined) headers.set("Content-Type", "application/json");
  if (signer) headers.set(authHeader, await authToken(signer, path, text ?? "", api.now()));
  if (voucher) headers.set(vouchHeader, await authToken(voucher, path, text ?? "", api.now()));
  const request: RequestInit = {
    method,
    headers,
    credentials: "same-origin",
    mode: "same-origin",
    cache: "no-store",
    redirect: "error", // a signed path is signed for one address
    referrerPolicy: "no-referrer",
    ...(text !== undefined && { body: text }),
  };
  const { fetch } = api; // a browser's own refuses to be called as somebody's method
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(path, request);
    answer = await response.json().catch(() => undefined);
  } catch (cause) {
    throw new ApiError(0, "unreachable", "the server could not be reached: check the connection and try again", "", { cause });
  }
  if (!response.ok) throw refusal(response.status, answer);
  expect(answer instanceof Object);
  return answer as T;
}

/** What a server answers is a stranger's: what is used of it must be there, and of its type. */
function expect(good: boolean): asserts good {
  if (!good) throw new ApiError(200, "server_error", "the server's answer cannot be read: try again");
}

function areTexts(...values: unknown[]): boolean {
  return values.every((value) => typeof value === "string" && value !== "");
}

function refusal(status: number, answer: unknown): ApiError {
  const { error, error_description: description, code } = (answer ?? {}) as { error?: unknown; error_description?: unknown; code?: unknown };
  if (typeof error !== "string") return new ApiError(status, "server_error", `the server answered ${status} without saying why: try again`);
  return new ApiError(status, error, typeof description === "string" && description !== "" ? description : error, typeof code === "string" ? code : "");
}
