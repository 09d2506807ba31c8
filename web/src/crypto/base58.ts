// Base58, and base58check with its checksum: how Bitcoin writes keys, addresses
// and BAP ids.

import { sha256 } from "@noble/hashes/sha2.js";

import { type Bytes, concat, EncodingError, equal } from "./bytes";

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function base58(bytes: Uint8Array): string {
  const digits: number[] = []; // least significant first
  for (const byte of bytes) {
    let carry = byte;
    for (let i = 0; i < digits.length; i++) {
      carry += digits[i]! << 8;
      digits[i] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  const zeros = leading(bytes, 0);
  return "1".repeat(zeros) + digits.reverse().map((digit) => alphabet[digit]).join("");
}

/** Throws EncodingError. */
export function fromBase58(text: string): Bytes {
  const bytes: number[] = []; // least significant first
  for (const character of text) {
    let carry = alphabet.indexOf(character);
    if (carry < 0) throw new EncodingError("not base58");
    for (let i = 0; i < bytes.length; i++) {
      carry += bytes[i]! * 58;
      bytes[i] = carry & 0xff;
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 0xff);
  }
  return concat(new Uint8Array(leading(text, "1")), Uint8Array.from(bytes.reverse()));
}

function leading<T>(values: ArrayLike<T>, value: T): number {
  let n = 0;
  while (n < values.length && values[n] === value) n++;
  return n;
}

const checksumLength = 4;

function checksum(payload: Uint8Array): Uint8Array {
  return sha256(sha256(payload)).subarray(0, checksumLength);
}

export function base58check(payload: Uint8Array): string {
  return base58(concat(payload, checksum(payload)));
}

/** Throws EncodingError. */
export function fromBase58check(text: string): Bytes {
  const bytes = fromBase58(text);
  if (bytes.length <= checksumLength) throw new EncodingError("too short");
  const payload = bytes.slice(0, -checksumLength);
  if (!equal(checksum(payload), bytes.subarray(-checksumLength))) throw new EncodingError("the checksum is wrong: a character is missing or mistyped");
  return payload;
}
