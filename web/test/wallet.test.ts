import assert from "node:assert/strict";
import { test } from "node:test";

import { PrivateKey, ProtoWallet, SignedMessage } from "@bsv/sdk";

import { verify } from "../src/crypto/brc77";
import { fromBase64, systemRandom, utf8 } from "../src/crypto/bytes";
import { authToken, signedText } from "../src/crypto/token";
import { type CWI, findWallet, WalletError, walletMilliseconds, walletSigner } from "../src/crypto/wallet";
import { highS, keyVectors, now } from "./vectors";

const [mine, other] = keyVectors().keys as [KeyOf, KeyOf];
/** No time goes by. */
const never = () => () => undefined;
type KeyOf = ReturnType<typeof keyVectors>["keys"][number];

/** @bsv/sdk's own wallet, as it stands in a page. */
function wallet(secret: string): CWI {
  return new ProtoWallet(PrivateKey.fromHex(secret)) as unknown as CWI;
}

test("a wallet's identity key is the member key", async () => {
  const signer = await walletSigner(wallet(mine.hex), systemRandom, never);
  assert.deepEqual([signer.pubkey, signer.bapId], [mine.pubkey, mine.bapIdIfMemberKey]);
});

test("a wallet's signatures are good to us and to @bsv/sdk", async () => {
  const signer = await walletSigner(wallet(mine.hex), systemRandom, never);
  for (let i = 0; i < 8; i++) {
    const message = utf8(`message ${i} ✓`);
    const envelope = await signer.sign(message);
    assert.equal(verify(message, envelope), mine.pubkey);
    assert.equal(SignedMessage.verify(Array.from(message), Array.from(envelope)), true);
  }
});

test("a wallet that signs with a high s is put right", async () => {
  const real = wallet(mine.hex);
  const cwi: CWI = {
    getPublicKey: (args) => real.getPublicKey(args),
    createSignature: async (args) => ({ signature: Array.from(highS(Uint8Array.from((await real.createSignature(args)).signature))) }),
  };
  const signer = await walletSigner(cwi, systemRandom, never);
  assert.equal(verify(utf8("hi"), await signer.sign(utf8("hi"))), mine.pubkey);
});

test("a wallet makes the tokens that an unlocked key makes", async () => {
  const signer = await walletSigner(wallet(mine.hex), systemRandom, never);
  const token = await authToken(signer, "/api/auth/sign-in/sigma", '{"bapId":"x"}', now);
  const [pubkey, scheme, timestamp, path, signature] = token.split("|") as [string, string, string, string, string];
  assert.deepEqual([pubkey, scheme, timestamp, path], [mine.pubkey, "brc77", now.toISOString(), "/api/auth/sign-in/sigma"]);
  assert.equal(verify(await signedText(path, timestamp, '{"bapId":"x"}'), fromBase64(signature)), mine.pubkey);
});

test("a wallet is asked for the child that BRC-77 derives, and for nothing else", async () => {
  const asked: unknown[] = [];
  const real = wallet(mine.hex);
  const watched: CWI = {
    getPublicKey: (args) => (asked.push(args), real.getPublicKey(args)),
    createSignature: (args) => (asked.push(args), real.createSignature(args)),
  };
  const envelope = await (await walletSigner(watched, systemRandom, never)).sign(utf8("hi"));
  assert.deepEqual(asked, [
    { identityKey: true },
    { data: [104, 105], protocolID: [2, "message signing"], keyID: Buffer.from(envelope.slice(38, 70)).toString("base64"), counterparty: "anyone" },
  ]);
});

test("a wallet that signs with another key, refuses, or answers nonsense is told apart from a good one", async () => {
  const good = wallet(mine.hex);
  const liar: CWI = { getPublicKey: (args) => good.getPublicKey(args), createSignature: (args) => wallet(other.hex).createSignature(args) };
  const refusing: CWI = { ...liar, createSignature: () => Promise.reject(new Error("the user said no")) };
  const nonsense: CWI = { ...liar, createSignature: () => Promise.resolve({ signature: [1, 2, 3] }) };
  for (const cwi of [liar, refusing, nonsense]) {
    const signer = await walletSigner(cwi, systemRandom, never);
    await assert.rejects(signer.sign(utf8("hi")), WalletError);
  }
  for (const publicKey of ["", "04" + "1".repeat(128), undefined as unknown as string]) {
    await assert.rejects(walletSigner({ ...liar, getPublicKey: () => Promise.resolve({ publicKey }) }, systemRandom, never), WalletError);
  }
});

test("a wallet is found only where there is one", () => {
  const cwi = wallet(mine.hex);
  assert.equal(findWallet({ CWI: cwi }), cwi);
  for (const scope of [{}, { CWI: null }, { CWI: "x" }, { CWI: { getPublicKey: () => undefined } }]) assert.equal(findWallet(scope), undefined);
});

test("a wallet that does not answer for two minutes has refused, and one that answers leaves no timer", async () => {
  const good = wallet(mine.hex);
  const timers: { milliseconds: number; then: () => void }[] = [];
  const after = (milliseconds: number, then: () => void) => {
    const timer = { milliseconds, then };
    timers.push(timer);
    return () => void timers.splice(timers.indexOf(timer), 1);
  };
  const silent: CWI = { getPublicKey: (args) => good.getPublicKey(args), createSignature: () => new Promise(() => undefined) };
  const signer = await walletSigner(silent, systemRandom, after);
  assert.equal(timers.length, 0);
  const signing = signer.sign(utf8("hi"));
  assert.deepEqual(timers.map((t) => t.milliseconds), [walletMilliseconds]);
  timers[0]?.then();
  await assert.rejects(signing, WalletError);
});
