// bitcoin-auth tokens, the X-Auth-Token header with which a signer signs one
// HTTP request: pubkey|brc77|timestamp|path|signature. What is signed is
// path|timestamp|bodyHash. The curve is the signer's, so that this file is small.

import { base64, type Bytes, hex, utf8 } from "./bytes";
import type { Signer } from "./signer";

export const authHeader = "X-Auth-Token";

/** The path cannot be carried by a token. */
export class PathError extends Error {
  override readonly name = "PathError";
}

/**
 * Makes a token for one request. path is the request target as it is sent: path
 * and query, percent-encoded, no origin. body is the exact body; empty for none.
 * Throws PathError, and whatever the signer throws.
 */
export async function authToken(signer: Signer, path: string, body: string | Bytes, now: Date): Promise<string> {
  // A pipe would make a sixth field; what is not printable ASCII is sent otherwise.
  if (!/^\/[!-{}~]*$/.test(path)) throw new PathError("a request target begins with a slash and holds printable ASCII but no pipe");
  const timestamp = now.toISOString();
  const signature = await signer.sign(await signedText(path, timestamp, body));
  return [signer.pubkey, "brc77", timestamp, path, base64(signature)].join("|");
}

/** What the signature of a token covers. */
export async function signedText(path: string, timestamp: string, body: string | Bytes): Promise<Bytes> {
  const bytes = typeof body === "string" ? utf8(body) : body;
  const hash = bytes.length > 0 ? hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))) : "";
  return utf8(`${path}|${timestamp}|${hash}`);
}
