// Passkeys: what the server and the browser say to each other about one, between
// JSON and the buffers that navigator.credentials wants (WebAuthn Level 3 §5.1).

import { base64, type Bytes, fromBase64 } from "../crypto/bytes";

interface Ceremony {
  options: { publicKey: Record<string, unknown> };
  ceremony: string;
}

/** Whether this browser can use passkeys. */
export function passkeysThere(): boolean {
  return typeof PublicKeyCredential === "function" && !!navigator.credentials;
}

/** Signs in with a passkey. Throws PasskeyError, or RefusedError. */
export async function signInWithPasskey(): Promise<void> {
  const { options, ceremony } = await post<Ceremony>("/api/auth/sign-in/passkey/options", {});
  const request = { ...options.publicKey } as unknown as PublicKeyCredentialRequestOptions;
  decode(request, ["challenge"]);
  request.allowCredentials?.forEach((c) => decode(c, ["id"]));
  const credential = await asked(navigator.credentials.get({ publicKey: request }));
  await post("/api/auth/sign-in/passkey", { ceremony, credential: JSON.stringify(asJSON(credential)) });
}

/** Makes a passkey; the caller signs what is returned with the identity's key. */
export async function makePasskey(): Promise<{ ceremony: string; credential: string }> {
  const { options, ceremony } = await post<Ceremony>("/api/passkeys/options", {});
  const creation = { ...options.publicKey } as unknown as PublicKeyCredentialCreationOptions;
  decode(creation, ["challenge"]);
  decode(creation.user, ["id"]);
  creation.excludeCredentials?.forEach((c) => decode(c, ["id"]));
  const credential = await asked(navigator.credentials.create({ publicKey: creation }));
  return { ceremony, credential: JSON.stringify(asJSON(credential)) };
}

/** Turns the members named from base64url into bytes. */
function decode(object: object, members: string[]): void {
  const values = object as Record<string, unknown>;
  for (const name of members) {
    const value = values[name];
    if (typeof value === "string") values[name] = fromBase64url(value);
  }
}

function asJSON(credential: PublicKeyCredential): object {
  const response: Record<string, unknown> = {};
  const given = credential.response as AuthenticatorAttestationResponse & AuthenticatorAssertionResponse;
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"] as const) {
    const value = given[name];
    if (value instanceof ArrayBuffer) response[name] = base64url(new Uint8Array(value));
  }
  if (typeof given.getTransports === "function") response["transports"] = given.getTransports();
  const { id, type, authenticatorAttachment } = credential;
  return { id, rawId: id, type, response, clientExtensionResults: credential.getClientExtensionResults(), authenticatorAttachment };
}

/** The browser gave no passkey: the person said no, or has none. */
export class PasskeyError extends Error {
  override readonly name = "PasskeyError";
}

/** The authenticator has a passkey of the account already. */
export class PasskeyThereError extends Error {
  override readonly name = "PasskeyThereError";
}

async function asked(asking: Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const credential = await asking;
    if (credential) return credential as PublicKeyCredential;
  } catch (cause) {
    // WebAuthn Level 3 §5.1.3: one of excludeCredentials is known to it.
    if (cause instanceof DOMException && cause.name === "InvalidStateError") throw new PasskeyThereError("it is there already", { cause });
    throw new PasskeyError("no passkey was used", { cause });
  }
  throw new PasskeyError("no passkey was used");
}

/** The server's refusal. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  constructor(
    readonly error: string,
    readonly code: string,
  ) {
    super(error);
  }
}

async function post<T>(path: string, body: object): Promise<T> {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  const said = (await answer.json()) as T & { error?: string; code?: string };
  if (!answer.ok) throw new RefusedError(said.error ?? "", said.code ?? "");
  return said;
}

function base64url(bytes: Bytes): string {
  return base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64url(text: string): Bytes {
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  return fromBase64(standard.padEnd(Math.ceil(standard.length / 4) * 4, "="));
}
