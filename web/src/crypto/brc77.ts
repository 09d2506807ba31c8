// BRC-77 signed messages, for anyone to verify. The envelope is version (4),
// the signer's key (33), recipient (1: zero, anyone), key id (32), and a DER
// signature by a key that is derived from the key id. Messages to one recipient
// are not made here and not accepted; who is named has signed (requirement N-01).

import { secp256k1 } from "@noble/curves/secp256k1.js";

import { base64, type Bytes, concat, equal, type Random } from "./bytes";
import { formatPublicKey, type PrivateKey, type PublicKey, publicKeyOf, publicKeyLength } from "./keys";
import { privateChild, publicChild } from "./type42";

/** Why an envelope was refused: its shape, its recipient, or its signature. */
export class EnvelopeError extends Error {
  override readonly name = "EnvelopeError";
}

export const keyIdLength = 32;
/** The protocol that a BRC-100 wallet knows these signatures by. */
export const protocol = [2, "message signing"] as const;

const version = Uint8Array.of(0x42, 0x42, 0x33, 0x01);
const anyone = 0;
const recipientAt = version.length + publicKeyLength;
const signatureAt = recipientAt + 1 + keyIdLength;
const [leastDER, mostDER] = [8, 72]; // two numbers of up to 256 bits

/** BRC-77 knows "anyone" by the private key 1, whose public key is the generator. */
const anyonePrivate: PrivateKey = Uint8Array.from({ length: 32 }, (_, i) => (i === 31 ? 1 : 0));
const anyonePublic: PublicKey = publicKeyOf(anyonePrivate);

function invoice(keyId: Uint8Array): string {
  return `${protocol[0]}-${protocol[1]}-${base64(keyId)}`;
}

/** Signs a message for anyone. */
export function sign(message: Uint8Array, key: PrivateKey, random: Random): Bytes {
  const keyId = random(keyIdLength);
  const child = privateChild(key, anyonePublic, invoice(keyId));
  const der = secp256k1.sign(message, child, { format: "der", lowS: true });
  child.fill(0);
  return envelope(publicKeyOf(key), keyId, der);
}

/** Puts an envelope together from its parts. */
export function envelope(signer: PublicKey, keyId: Uint8Array, der: Uint8Array): Bytes {
  return concat(version, signer, Uint8Array.of(anyone), keyId, der);
}

/**
 * Verifies an envelope for anyone and returns the signer's key in hex. The
 * signature must be strict DER with a low s, because an envelope that can be
 * re-encoded can be replayed. Throws EnvelopeError.
 */
export function verify(message: Uint8Array, signed: Uint8Array): string {
  if (signed.length < signatureAt + leastDER || signed.length > signatureAt + mostDER || !equal(signed.subarray(0, version.length), version)) {
    throw new EnvelopeError("not a BRC-77 envelope for anyone");
  }
  if (signed[recipientAt] !== anyone) throw new EnvelopeError("signed for one recipient, not for anyone");
  const signer = signed.slice(version.length, recipientAt);
  if (!secp256k1.utils.isValidPublicKey(signer, true)) throw new EnvelopeError("the signer is not a public key");
  const child = publicChild(signer, anyonePrivate, invoice(signed.subarray(recipientAt + 1, signatureAt)));
  if (!verifies(message, signed.slice(signatureAt), child)) throw new EnvelopeError("the signature does not cover this message");
  return formatPublicKey(signer);
}

function verifies(message: Uint8Array, der: Uint8Array, key: PublicKey): boolean {
  try {
    return secp256k1.verify(der, message, key, { format: "der", lowS: true });
  } catch {
    return false; // not strict DER
  }
}

/**
 * Writes a DER signature in its one form, with a low s: wallets differ in that.
 * Throws EnvelopeError when it is no DER signature.
 */
export function lowS(der: Uint8Array): Bytes {
  try {
    const { r, s } = secp256k1.Signature.fromBytes(der, "der");
    const n = secp256k1.Point.Fn.ORDER;
    return new Uint8Array(new secp256k1.Signature(r, s > n / 2n ? n - s : s).toBytes("der"));
  } catch {
    throw new EnvelopeError("not a DER signature");
  }
}
