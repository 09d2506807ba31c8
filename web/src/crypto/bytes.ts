// Bytes and the texts they are written as: hex, base64, UTF-8. What the bytes mean
// is said elsewhere; base58, which needs a hash, is base58.ts.

export type Bytes = Uint8Array<ArrayBuffer>;

/** Draws random bytes. It is passed in, so that a test can say what is drawn. */
export type Random = (length: number) => Bytes;

/** What the platform draws for cryptography. */
export const systemRandom: Random = (length) => crypto.getRandomValues(new Uint8Array(length));

/** A text is not the encoding that it should be. */
export class EncodingError extends Error {
  override readonly name = "EncodingError";
}

export function concat(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Says whether two values are the same, in a time that depends on their length only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

const encoder = new TextEncoder();

export function utf8(text: string): Bytes {
  return new Uint8Array(encoder.encode(text));
}

/** Throws EncodingError. */
export function fromUTF8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new EncodingError("not UTF-8");
  }
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Throws EncodingError. */
export function fromHex(text: string): Bytes {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) throw new EncodingError("not hex");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/**
 * Reads standard base64 with padding. Line breaks are passed over, as other
 * readers of backups do. Throws EncodingError.
 */
export function fromBase64(text: string): Bytes {
  const digits = text.replace(/[\r\n]/g, "");
  if (digits.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(digits)) throw new EncodingError("not base64");
  return Uint8Array.from(atob(digits), (character) => character.charCodeAt(0));
}
