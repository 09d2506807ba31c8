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
