import assert from "node:assert/strict";
import { test } from "node:test";

import { PrivateKey, SignedMessage } from "@bsv/sdk";

import { EnvelopeError, lowS, sign, verify } from "../src/crypto/brc77";
import { base64, type Bytes, concat, fromBase64, fromHex, systemRandom, utf8 } from "../src/crypto/bytes";
import { Identity } from "../src/crypto/identity";
import { parseWIF } from "../src/crypto/keys";
import { authToken, PathError, signedText } from "../src/crypto/token";
import { counting, highS, keyOne, keyVectors, now, testIdentity, type TokenVectors, tokenVectors } from "./vectors";

type Case = TokenVectors["cases"][number];

function bodyOf(v: Case): Bytes {
  const readers = { utf8, hex: fromHex, base64: fromBase64 };
  return v.body === null ? new Uint8Array() : readers[v.bodyEncoding](v.body);
}

/** Whether the signature of a token is good for a request; time and key shapes are the server's. */
async function covers(token: string, path: string, body: Bytes): Promise<boolean> {
  const fields = token.split("|");
  const [pubkey = "", scheme, timestamp = "", tokenPath, signature = ""] = fields;
  if (fields.length !== 5 || scheme !== "brc77" || tokenPath !== path) return false;
  try {
    return verify(await signedText(path, timestamp, body), fromBase64(signature)) === pubkey;
  } catch (error) {
    assert.ok(error instanceof EnvelopeError, String(error));
    return false;
  }
}

test("tokens of other implementations are judged right", async () => {
  const aboutTime = ["older than the window", "newer than the window"];
  const cases = tokenVectors().cases.filter((v) => v.scheme === "brc77" && !aboutTime.includes(v.name));
  assert.ok(cases.filter((v) => v.valid).length >= 5 && cases.filter((v) => !v.valid).length >= 15);
  for (const v of cases) assert.equal(await covers(v.token, v.requestPath, bodyOf(v)), v.valid, v.name);
});

test("our tokens for the same requests are good, and differ only in key id and signature", async () => {
  for (const v of tokenVectors().cases.filter((c) => c.valid && c.scheme === "brc77")) {
    const signer = new Identity("", parseWIF(v.wif), systemRandom);
    const token = await authToken(signer, v.requestPath, bodyOf(v), new Date(v.serverTime));
    assert.ok(await covers(token, v.requestPath, bodyOf(v)), v.name);
    assert.deepEqual(token.split("|").slice(0, 4), v.token.split("|").slice(0, 4));
  }
});

test("our envelopes are good to @bsv/sdk, and its are to us", async () => {
  const message = utf8("/api/auth/sign-in/sigma|2026-11-23T09:00:00.000Z|héllo ✓");
  for (const { hex: secret, pubkey } of keyVectors().keys) {
    const theirs = PrivateKey.fromHex(secret);
    const ours = sign(message, fromHex(secret), systemRandom);
    assert.equal(SignedMessage.verify(Array.from(message), Array.from(ours)), true);
    assert.equal(verify(message, Uint8Array.from(SignedMessage.sign(Array.from(message), theirs))), pubkey);
    const toOne = SignedMessage.sign(Array.from(message), theirs, theirs.toPublicKey());
    assert.throws(() => verify(message, Uint8Array.from(toOne)), EnvelopeError);
  }
});

test("a token made with one clock and one key id is always the same", async () => {
  const [a, b] = [await authToken(testIdentity(), "/x", "{}", now), await authToken(testIdentity(), "/x", "{}", now)];
  assert.equal(a, b);
});

test("a path that a token cannot carry is refused", async () => {
  for (const path of ["", "x", "https://example.org/x", "/a|b", "/a b", "/a\nb", "/ä", "/\x7f"]) {
    await assert.rejects(authToken(testIdentity(), path, "", now), PathError, path);
  }
});

test("an envelope of every length is an ordinary refusal", () => {
  const message = utf8("hello");
  const padded = concat(sign(message, keyOne(), counting()), new Uint8Array(60));
  const good = sign(message, keyOne(), counting()).length;
  for (let length = 0; length <= padded.length; length++) {
    if (length === good) continue;
    assert.throws(() => verify(message, padded.slice(0, length)), EnvelopeError, `${length} bytes`);
  }
});

test("no changed byte of an envelope passes", () => {
  const message = utf8("hello");
  const envelope = sign(message, keyOne(), counting());
  for (let at = 0; at < envelope.length; at++) {
    const changed = envelope.slice();
    changed[at]! ^= 1;
    assert.throws(() => verify(message, changed), EnvelopeError, `byte ${at}`);
  }
  assert.throws(() => verify(utf8("hellp"), envelope), EnvelopeError);
});

test("a high s is refused, and a wallet's is put right", () => {
  const message = utf8("hello");
  const envelope = sign(message, keyOne(), counting());
  const head = envelope.slice(0, 70);
  const high = highS(envelope.slice(70));
  assert.throws(() => verify(message, concat(head, high)), EnvelopeError);
  assert.deepEqual(lowS(high), envelope.slice(70));
  assert.deepEqual(lowS(envelope.slice(70)), envelope.slice(70));
  assert.throws(() => lowS(concat(high, Uint8Array.of(0))), EnvelopeError);
});

test("signatures are strict DER of the shortest form", () => {
  const random = counting();
  for (let i = 0; i < 40; i++) {
    const der = sign(utf8(`message ${i}`), keyOne(), random).slice(70);
    assert.deepEqual(lowS(der), der, base64(der));
  }
});
