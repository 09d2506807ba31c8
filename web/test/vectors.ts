// The vectors of other implementations, shared with the Go packages, and what
// tests need again and again. Tests run in web/.

import { readFileSync } from "node:fs";

import { type Bytes, fromHex, type Random } from "../src/crypto/bytes";
import { Identity } from "../src/crypto/identity";

function read<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

export interface KeyVectors {
  keys: { hex: string; wif: string; pubkey: string; address: string; bapIdIfMemberKey: string }[];
  type42: {
    invoice: string;
    private: string;
    counterparty: string;
    childPrivate: string;
    childPublicFromCounterparty: string;
    selfChildPrivate: string;
    selfChildPublic: string;
  }[];
}

export interface IdentityVectors {
  identities: {
    master: { rootPk: string };
    index: number;
    rootPath: string;
    rootAddress: string;
    bapId: string;
    member: { address: string; identityKey: string; derivedPrivateKey: string; name: string };
  }[];
}

export interface BackupVectors {
  cases: { name: string; iterations: number; passphrase: string; encrypted: string; payload: Record<string, string> }[];
}

export interface EncryptionVectors {
  electrumEcies: { sender: string; recipient: string; plaintext: string; ciphertextBase64: string };
}

export interface TokenVectors {
  cases: {
    name: string;
    token: string;
    wif: string;
    scheme: string;
    requestPath: string;
    body: string | null;
    bodyEncoding: "utf8" | "hex" | "base64";
    valid: boolean;
    serverTime: string;
  }[];
}

export const keyVectors = (): KeyVectors => read("../bap/testdata/keys.json");
export const identityVectors = (): IdentityVectors => read("../bap/testdata/bap-identities.json");
export const backupVectors = (): BackupVectors => read("../bap/testdata/backups.json");
export const encryptionVectors = (): EncryptionVectors => read("../bap/testdata/encryption.json");
export const tokenVectors = (): TokenVectors => read("../bitcoinauth/testdata/bitcoin-auth.json");

export const strengthVectors = (): { password: string; known?: string[]; strength: string }[] => read("testdata/strength.json");

/** Random bytes that are the same in every run: 1, 2, 3 … */
export function counting(): Random {
  let n = 0;
  return (length) => Uint8Array.from({ length }, () => ++n & 0xff);
}

export const keyOne = (): Bytes => fromHex(keyVectors().keys[0]!.hex);

export function testIdentity(name = "satoshi"): Identity {
  return new Identity(name, keyOne(), counting());
}

export const now = new Date("2026-11-23T09:00:00.000Z");

const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Replaces s by n - s, which an undemanding verifier takes too. */
export function highS(der: Bytes): Bytes {
  const rLength = der[3]!;
  const r = der.slice(4, 4 + rLength);
  const s = order - BigInt("0x" + Buffer.from(der.slice(6 + rLength)).toString("hex"));
  const digits = fromHex("00" + s.toString(16).padStart(64, "0")); // n - s is above n/2: its first bit is set
  return Uint8Array.of(0x30, 4 + r.length + digits.length, 2, r.length, ...r, 2, digits.length, ...digits);
}
