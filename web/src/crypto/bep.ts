// The encryption of .bep files: base64 of salt (16), IV (12) and AES-256-GCM,
// keyed from a password by PBKDF2-SHA256. What is inside is backup.ts.

import { base64, type Bytes, concat, fromBase64, type Random, utf8 } from "./bytes";

/** A text is no backup of a kind known here. The message says why, for a person. */
export class NotABackupError extends Error {
  override readonly name = "NotABackupError";
}

/** The password is wrong or the file is damaged; the encryption cannot tell which. */
export class WrongPasswordError extends Error {
  override readonly name = "WrongPasswordError";
}

/** PBKDF2 iterations: what is written, and what older files have. */
export const iterations = 600_000;
export const legacyIterations = 100_000;

export const maxBackup = 1 << 20;
const saltLength = 16;
const ivLength = 12;
const tagLength = 16;

async function passwordKey(password: string, salt: Bytes, rounds: number): Promise<CryptoKey> {
  const base = await crypto.subtle.importKey("raw", utf8(password), "PBKDF2", false, ["deriveKey"]);
  return crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds },
    base,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}

/** Encrypts under a password. */
export async function seal(plaintext: Bytes, password: string, random: Random, rounds: number = iterations): Promise<string> {
  const salt = random(saltLength);
  const iv = random(ivLength);
  const key = await passwordKey(password, salt, rounds);
  const ciphertext = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plaintext);
  return base64(concat(salt, iv, new Uint8Array(ciphertext)));
}

/**
 * Decrypts a .bep file, whichever number of iterations it was written with, which
 * it tells. Throws NotABackupError or WrongPasswordError.
 */
export async function open(text: string, password: string): Promise<{ plaintext: Bytes; rounds: number }> {
  const raw = decode(text);
  const salt = raw.slice(0, saltLength);
  const iv = raw.slice(saltLength, saltLength + ivLength);
  const ciphertext = raw.slice(saltLength + ivLength);
  for (const rounds of [iterations, legacyIterations]) {
    const key = await passwordKey(password, salt, rounds);
    try {
      return { plaintext: new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, ciphertext)), rounds };
    } catch {
      // the tag does not fit: another number of iterations, or another password
    }
  }
  throw new WrongPasswordError("wrong password, or a damaged backup");
}

function decode(text: string): Bytes {
  const trimmed = text.trim();
  if (trimmed.length > maxBackup) throw new NotABackupError("larger than a backup can be");
  let raw: Bytes;
  try {
    raw = fromBase64(trimmed);
  } catch {
    raw = new Uint8Array();
  }
  if (raw.length <= saltLength + ivLength + tagLength) throw new NotABackupError("an encrypted backup is base64");
  return raw;
}

/** Says whether a text looks like an encrypted backup, as against one in the clear. */
export function isEncrypted(text: string): boolean {
  try {
    decode(text);
    return true;
  } catch {
    return false;
  }
}
