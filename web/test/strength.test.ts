import assert from "node:assert/strict";
import { test } from "node:test";

import { wordlist } from "@scure/bip39/wordlists/english.js";

import { systemRandom } from "../src/crypto/bytes";
import { drawPassphrase } from "../src/passphrase";
import { strength } from "../src/strength";

test("fewer than ten characters are too short, whatever they are", () => {
  for (const password of ["", "x", "K9#mQ2$vL", "🐎🐎🐎🐎🐎🐎🐎🐎🐎"]) assert.equal(strength(password), "short", password);
});

test("patterns and what people choose are weak, however long", () => {
  for (const password of [
    "aaaaaaaaaaaaaaaa", "1234567890", "0987654321", "abcdefghijklmnop", "qwertyuiop", "abcabcabcabcabc", "passwordpassword", "Password123!", "P@ssw0rd1234",
    "iloveyou2024", "letmein12345", "correct horse battery staple", "i love you baby", "summer2026!", "1985198519", "constitution", "Countersign1!",
    "bitcoin satoshi", "monkey dragon", "2468135790", "passwortpasswort1", "qwerty123456", "thank you love",
  ]) {
    assert.equal(strength(password), "weak", password);
  }
});

test("what is drawn is strong", () => {
  for (const password of ["xK9#mQ2$vL7p", "plum harbour ticket nine lamp", "hkqzvwpmxtbrj", "a5D-9fG.2kL_8q"]) assert.equal(strength(password), "strong", password);
});

test("between the two it is fair", () => {
  for (const password of ["Tr0ub4dor&3", "gelbe Kutsche Nebel"]) assert.equal(strength(password), "fair", password);
});

test("what is known of a person counts little", () => {
  const password = "Wilhelmina Rosenbaum 7";
  assert.notEqual(strength(password), "weak");
  assert.equal(strength(password, ["Wilhelmina Rosenbaum", "id.example.org"]), "weak");
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
