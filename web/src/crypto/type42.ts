// Type-42 derivation (BRC-42): two parties derive a key of one of them from an
// invoice number, the private part by its owner, the public part by the other.

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

import { utf8 } from "./bytes";
import { KeyError, type PrivateKey, type PublicKey, publicKeyOf } from "./keys";

const { Point } = secp256k1;
const { Fn } = Point;

/** The private child of a key, for what it shares with a counterparty. */
export function privateChild(key: PrivateKey, counterparty: PublicKey, invoice: string): PrivateKey {
  const child = Fn.add(scalar(key), tweak(key, counterparty, invoice));
  if (child === 0n) throw new KeyError("this invoice gives no key"); // one in 2^256
  return new Uint8Array(Fn.toBytes(child));
}

/** The public child of somebody's key, as their counterparty derives it. */
export function publicChild(key: PublicKey, counterparty: PrivateKey, invoice: string): PublicKey {
  const child = Point.fromBytes(key).add(Point.BASE.multiply(tweak(counterparty, key, invoice)));
  return new Uint8Array(child.toBytes(true));
}

/** The child of a key with itself as counterparty. */
export function ownChild(key: PrivateKey, invoice: string): PrivateKey {
  return privateChild(key, publicKeyOf(key), invoice);
}

/** HMAC of the invoice number, keyed by the shared point. */
function tweak(mine: PrivateKey, theirs: PublicKey, invoice: string): bigint {
  const shared = secp256k1.getSharedSecret(mine, theirs, true);
  return Fn.create(scalar(hmac(sha256, shared, utf8(invoice))));
}

function scalar(bytes: Uint8Array): bigint {
  let n = 0n;
  for (const byte of bytes) n = (n << 8n) | BigInt(byte);
  return n;
}
