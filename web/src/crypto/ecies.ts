// Electrum ECIES (BIE1), with which backups encrypt parts of themselves to a key
// of their own: magic (4), the sender's key (33), AES-128-CBC, HMAC-SHA256 (32).

import { secp256k1 } from "@noble/curves/secp256k1.js";

import { type Bytes, concat, equal, utf8 } from "./bytes";
import { type PrivateKey, type PublicKey, publicKeyLength, publicKeyOf } from "./keys";

/** A ciphertext is not one, or not for this key. */
export class DecryptError extends Error {
  override readonly name = "DecryptError";
}

const magic = utf8("BIE1");
const headLength = magic.length + publicKeyLength;
const macLength = 32;
const block = 16;

interface Secrets {
  iv: Bytes;
  cipher: CryptoKey;
  mac: CryptoKey;
}

/** SHA-512 of the shared point is IV, AES key and MAC key. */
async function secrets(mine: PrivateKey, theirs: PublicKey): Promise<Secrets> {
  const shared = new Uint8Array(secp256k1.getSharedSecret(mine, theirs, true));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-512", shared));
  return {
    iv: hash.slice(0, 16),
    cipher: await crypto.subtle.importKey("raw", hash.slice(16, 32), "AES-CBC", false, ["encrypt", "decrypt"]),
    mac: await crypto.subtle.importKey("raw", hash.slice(32), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]),
  };
}

export async function encrypt(plaintext: Bytes, sender: PrivateKey, recipient: PublicKey): Promise<Bytes> {
  const { iv, cipher, mac } = await secrets(sender, recipient);
  const ciphertext = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, cipher, plaintext));
  const message = concat(magic, publicKeyOf(sender), ciphertext);
  return concat(message, new Uint8Array(await crypto.subtle.sign("HMAC", mac, message)));
}

/** Throws DecryptError. */
export async function decrypt(message: Bytes, recipient: PrivateKey): Promise<Bytes> {
  const length = message.length - headLength - macLength;
  if (length < block || length % block !== 0 || !equal(message.subarray(0, magic.length), magic)) {
    throw new DecryptError("not an Electrum ECIES message");
  }
  const sender = message.slice(magic.length, headLength);
  if (!secp256k1.utils.isValidPublicKey(sender, true)) throw new DecryptError("the sender is not a public key");
  const { iv, cipher, mac } = await secrets(recipient, sender);
  const covered = message.slice(0, -macLength);
  if (!(await crypto.subtle.verify("HMAC", mac, message.slice(-macLength), covered))) {
    throw new DecryptError("not encrypted to this key, or damaged");
  }
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, cipher, covered.slice(headLength)));
  } catch {
    throw new DecryptError("damaged");
  }
}
