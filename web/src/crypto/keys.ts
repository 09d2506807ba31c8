// secp256k1 keys and what is made of them alone: wallet import format, the
// compressed public key, the P2PKH address of the main network, the BAP id.
// Deriving further keys is type42.ts.

import { secp256k1 } from "@noble/curves/secp256k1.js";
import { ripemd160 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";

import { base58, base58check, fromBase58check } from "./base58";
import { type Bytes, concat, EncodingError, fromHex, hex, type Random, utf8 } from "./bytes";

/** A private key: 32 bytes, a number from 1 to n - 1. */
export type PrivateKey = Bytes;
/** A public key: compressed, 33 bytes. */
export type PublicKey = Bytes;

/** A text is not a key of the kind that is needed. The message says why, for a person. */
export class KeyError extends Error {
  override readonly name = "KeyError";
}

export const keyLength = 32;
export const publicKeyLength = 33;
const mainNetwork = 0x80;
const testNetwork = 0xef;
const compressed = 0x01;

export function newPrivateKey(random: Random): PrivateKey {
  for (;;) {
    const key = random(keyLength);
    if (secp256k1.utils.isValidSecretKey(key)) return key;
  }
}

export function publicKeyOf(key: PrivateKey): PublicKey {
  return secp256k1.getPublicKey(key, true);
}

/** Reads a compressed public key in hex. Throws KeyError. */
export function parsePublicKey(text: string): PublicKey {
  let key: Bytes;
  try {
    key = fromHex(text);
  } catch {
    key = new Uint8Array();
  }
  if (key.length !== publicKeyLength || (key[0] !== 2 && key[0] !== 3)) {
    throw new KeyError("a compressed public key is 66 hex characters that begin with 02 or 03");
  }
  if (!secp256k1.utils.isValidPublicKey(key, true)) throw new KeyError("the point is not on the curve");
  return key;
}

export function formatWIF(key: PrivateKey): string {
  return base58check(Uint8Array.of(mainNetwork, ...key, compressed));
}

/** Reads a private key of the main network in wallet import format. Throws KeyError. */
export function parseWIF(text: string): PrivateKey {
  if (/^[0-9a-fA-F]{64}$/.test(text)) throw new KeyError("this is a private key in hex; give it in wallet import format");
  if (text.length < 51 || text.length > 52) throw new KeyError("wallet import format has 51 or 52 characters");
  const payload = wifPayload(text);
  if (payload[0] === testNetwork) throw new KeyError("this key is for the test network");
  const isCompressed = payload.length === 1 + keyLength + 1 && payload[1 + keyLength] === compressed;
  if (payload[0] !== mainNetwork || (payload.length !== 1 + keyLength && !isCompressed)) {
    throw new KeyError("not a private key of the main network");
  }
  const key = payload.slice(1, 1 + keyLength);
  if (!secp256k1.utils.isValidSecretKey(key)) throw new KeyError("out of range");
  return key;
}

function wifPayload(text: string): Bytes {
  try {
    return fromBase58check(text);
  } catch (error) {
    if (error instanceof EncodingError) throw new KeyError(`wallet import format is written in base58: ${error.message}`);
    throw error;
  }
}

/** The P2PKH address of the main network. */
export function addressOf(key: PublicKey): string {
  return base58check(concat(Uint8Array.of(0), ripemd160(sha256(key))));
}

/** The BAP id of a root address: base58(ripemd160(sha256(address))). */
export function bapIdOfAddress(address: string): string {
  return base58(ripemd160(sha256(utf8(address))));
}

/** The BAP id of a member key. */
export function bapIdOf(key: PublicKey): string {
  return bapIdOfAddress(addressOf(key));
}

/** A public key as it is written in headers and claims: lower-case hex. */
export function formatPublicKey(key: PublicKey): string {
  return hex(key);
}
