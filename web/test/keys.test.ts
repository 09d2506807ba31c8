import assert from "node:assert/strict";
import { test } from "node:test";

import { base58, base58check, fromBase58, fromBase58check } from "../src/crypto/base58";
import { base64, EncodingError, fromBase64, fromHex, hex, utf8 } from "../src/crypto/bytes";
import { Identity, identityAt, masterPath } from "../src/crypto/identity";
import { addressOf, bapIdOf, formatPublicKey, formatWIF, KeyError, newPrivateKey, parsePublicKey, parseWIF, publicKeyOf } from "../src/crypto/keys";
import { ownChild, privateChild, publicChild } from "../src/crypto/type42";
import { counting, identityVectors, keyVectors, testIdentity } from "./vectors";

test("keys, addresses and BAP ids are those of other libraries", () => {
  for (const v of keyVectors().keys) {
    const key = parseWIF(v.wif);
    const publicKey = publicKeyOf(key);
    assert.deepEqual(
      [hex(key), formatWIF(key), formatPublicKey(publicKey), addressOf(publicKey), bapIdOf(publicKey)],
      [v.hex, v.wif, v.pubkey, v.address, v.bapIdIfMemberKey],
    );
    assert.equal(formatPublicKey(parsePublicKey(v.pubkey.toUpperCase())), v.pubkey);
  }
});

test("Type-42 children are derived in both directions", () => {
  const counterparty = fromHex(keyVectors().keys[1]!.hex);
  for (const v of keyVectors().type42) {
    const key = fromHex(v.private);
    assert.equal(hex(privateChild(key, parsePublicKey(v.counterparty), v.invoice)), v.childPrivate);
    assert.equal(hex(publicChild(publicKeyOf(key), counterparty, v.invoice)), v.childPublicFromCounterparty);
    assert.equal(hex(ownChild(key, v.invoice)), v.selfChildPrivate);
    assert.equal(hex(publicKeyOf(ownChild(key, v.invoice))), v.selfChildPublic);
  }
});

test("a master's identities are those of other libraries", () => {
  for (const v of identityVectors().identities) {
    const i = identityAt(parseWIF(v.master.rootPk), masterPath(v.index), "", counting());
    assert.deepEqual([i.path, i.rootAddress, i.bapId, formatWIF(i.key)], [v.rootPath, v.rootAddress, v.bapId, v.member.derivedPrivateKey]);
    assert.equal(i.signingAddress(0), v.member.address);
  }
});

test("a WIF of the wrong kind is refused with a reason", () => {
  const reasons: Record<string, RegExp> = {
    "": /51 or 52/,
    "1f3a9d0b7c2e4f5061728394a5b6c7d8e9fa0b1c2d3e4f506172839405a6b7c8": /in hex/,
    cTpB4YiyKiBcPxnefsDpbnDxFDffjqJob8wGCEDXxgQ7zQoMXJdH: /test network/,
    KxGR5L2rNbeo42ED9X19rqWbEtMApsmoQQkgKPW26JjHzU1YJPnj: /checksum/,
    ["0".repeat(52)]: /base58/,
    [base58check(Uint8Array.of(0x80, ...new Uint8Array(32), 1))]: /out of range/,
    [base58check(Uint8Array.of(0x80, ...new Uint8Array(32).fill(9), 2))]: /not a private key/,
    [base58check(Uint8Array.of(0x81, ...new Uint8Array(32).fill(9), 1))]: /not a private key/,
  };
  for (const [text, why] of Object.entries(reasons)) {
    assert.throws(() => parseWIF(text), (error) => error instanceof KeyError && why.test(error.message), text);
  }
});

test("an uncompressed WIF is read, as other readers do", () => {
  const key = fromHex(keyVectors().keys[0]!.hex);
  assert.deepEqual(parseWIF(base58check(Uint8Array.of(0x80, ...key))), key);
});

test("what is no compressed public key on the curve is refused", () => {
  const good = keyVectors().keys[0]!.pubkey;
  for (const text of ["", "zz", good.slice(2), "04" + good.slice(2), good + "00", "02" + "f".repeat(64), "02" + "0".repeat(63) + "5"]) {
    assert.throws(() => parsePublicKey(text), KeyError, text);
  }
});

test("a key is drawn again until it is in range", () => {
  const draws = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(7)];
  assert.deepEqual(newPrivateKey(() => draws.shift()!), new Uint8Array(32).fill(7));
});

test("texts are read back, and what is no encoding is refused", () => {
  for (let length = 0; length < 70; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i < length % 4 ? 0 : (i * 37 + length) & 0xff));
    assert.deepEqual(fromBase58(base58(bytes)), bytes);
    assert.deepEqual(fromBase64(base64(bytes)), bytes);
    assert.equal(base64(bytes), Buffer.from(bytes).toString("base64"));
    assert.deepEqual(fromHex(hex(bytes)), bytes);
  }
  assert.deepEqual(fromBase64("aGVs\r\nbG8="), utf8("hello"));
  for (const refused of [() => fromHex("0g"), () => fromHex("abc"), () => fromBase64("a"), () => fromBase64("ab_-"), () => fromBase58("0"), () => fromBase58check("11")]) {
    assert.throws(refused, EncodingError);
  }
});

test("an identity shows nothing of its key, and forgets it", async () => {
  const identity = testIdentity();
  const key = identity.key;
  const { inspect } = await import("node:util");
  for (const text of [inspect(identity, { showHidden: true, depth: 9 }), JSON.stringify(identity), String(identity)]) {
    for (const secret of [hex(key), formatWIF(key), Array.from(key).join(", "), Array.from(key).slice(0, 3).join(",")]) assert.ok(!text.includes(secret), text);
  }
  identity.forget();
  assert.deepEqual(key, new Uint8Array(32) as typeof key);
  assert.throws(() => identity.key, /locked/);
  await assert.rejects(identity.sign(utf8("x")), /locked/);
  assert.ok(identity.bapId !== "" && identity.pubkey !== "");
});

test("two new identities differ", () => {
  const random = counting();
  assert.notEqual(Identity.create("a", random).bapId, Identity.create("b", random).bapId);
});
