import assert from "node:assert/strict";
import { test } from "node:test";

import { wordlist } from "@scure/bip39/wordlists/english.js";

import { systemRandom } from "../src/crypto/bytes";
import { drawPassphrase } from "../src/passphrase";
import { strength } from "../src/strength";
import { strengthVectors } from "./vectors";

test("the scale is that of the command line, held to one list", () => {
  const levels = new Map<string, number>();
  for (const { password, known, strength: want } of strengthVectors()) {
    assert.equal(strength(password, known), want, password);
    levels.set(want, (levels.get(want) ?? 0) + 1);
  }
  for (const level of ["short", "weak", "fair", "strong"]) assert.ok((levels.get(level) ?? 0) > 1, level);
});

test("a longer password is never worth less than its beginning", () => {
  const levels = ["short", "weak", "fair", "strong"];
  const password = "xK9#mQ2$vL7p plum harbour";
  for (let n = 1; n < password.length; n++) {
    assert.ok(levels.indexOf(strength(password.slice(0, n + 1))) >= levels.indexOf(strength(password.slice(0, n))), password.slice(0, n + 1));
  }
});

test("a passphrase is four words, each as likely as another", async () => {
  const drawn = await drawPassphrase(() => Uint8Array.of(0, 0, 7, 255, 8, 1, 0, 2));
  assert.deepEqual(drawn.split(" "), [0, 2047, 1, 2].map((i) => wordlist[i]));
  assert.equal(wordlist.length, 2048);
  assert.notEqual(await drawPassphrase(systemRandom), await drawPassphrase(systemRandom));
});

test("a passphrase with a word twice is drawn anew", async () => {
  const draws = [Uint8Array.of(0, 1, 0, 1, 0, 1, 0, 1), Uint8Array.of(0, 0, 7, 255, 8, 1, 0, 2)];
  assert.equal(await drawPassphrase(() => draws.shift()!), [0, 2047, 1, 2].map((i) => wordlist[i]).join(" "));
});
