import assert from "node:assert/strict";
import { test } from "node:test";

import { type Backup, decryptBackup, keyBackup, masterBackup, memberBackup, parseBackup } from "../src/crypto/backup";
import { isEncrypted, iterations, legacyIterations, NotABackupError, open, seal, WrongPasswordError } from "../src/crypto/bep";
import { base64, type Bytes, concat, fromBase64, fromHex, fromUTF8, systemRandom, utf8 } from "../src/crypto/bytes";
import { decrypt, DecryptError, encrypt } from "../src/crypto/ecies";
import { encryptExport } from "../src/crypto/export";
import { identityAt } from "../src/crypto/identity";
import { formatWIF, newPrivateKey, publicKeyOf } from "../src/crypto/keys";
import { backupVectors, counting, encryptionVectors, identityVectors, keyOne, now, testIdentity } from "./vectors";

const ids = (backup: Backup) => backup.identities.map((i) => i.bapId);

test("backups of other libraries are read, with both numbers of iterations", async () => {
  const { cases } = backupVectors();
  assert.deepEqual([...new Set(cases.map((v) => v.iterations))].sort(), [100_000, 600_000]);
  for (const v of cases) {
    const { plaintext, rounds } = await open(v.encrypted, v.passphrase);
    assert.deepEqual([JSON.parse(fromUTF8(plaintext)), rounds], [v.payload, v.iterations]);
    const backup = await decryptBackup(`\n${v.encrypted}\n`, v.passphrase, systemRandom);
    assert.equal(backup.bep === v.encrypted, v.iterations === iterations); // it is kept as it came, or encrypted anew
    const kept = await open(backup.bep!, v.passphrase);
    assert.deepEqual([JSON.parse(fromUTF8(kept.plaintext)), kept.rounds], [v.payload, iterations]);
    assert.equal(backup.kind, v.payload["rootPk"] ? "master" : "key");
    assert.equal(backup.label, v.payload["label"]);
    assert.equal(backup.createdAt?.toISOString(), v.payload["createdAt"]);
    await assert.rejects(decryptBackup(v.encrypted, v.passphrase + "x", systemRandom), WrongPasswordError);
  }
});

test("a master's backup lists its identities with path and name", async () => {
  const backup = await parseBackup(JSON.stringify(backupVectors().cases[0]!.payload), systemRandom);
  const known = identityVectors().identities.slice(0, backup.identities.length);
  assert.ok(known.length >= 1);
  assert.deepEqual(ids(backup), known.map((v) => v.bapId));
  assert.deepEqual(backup.identities.map((i) => i.path), known.map((v) => v.rootPath));
  assert.ok(backup.identities.every((i) => i.name !== ""));
});

test("a master without a list has its first identity", async () => {
  const { rootPk } = identityVectors().identities[0]!.master;
  assert.deepEqual(ids(await parseBackup(JSON.stringify({ rootPk }), systemRandom)), [identityVectors().identities[0]!.bapId]);
});

test("members in the clear and bare keys are read", async () => {
  for (const { member } of identityVectors().identities) {
    const backup = await parseBackup(JSON.stringify(member, null, 2), systemRandom);
    assert.deepEqual([backup.kind, ids(backup), backup.identities[0]!.name], ["member", [member.identityKey], member.name]);
    const bare = await parseBackup(` ${member.derivedPrivateKey}\n`, systemRandom);
    assert.deepEqual([bare.kind, ids(bare)], ["key", [member.identityKey]]);
  }
});

test("our backups of every kind are read back", async () => {
  const master = newPrivateKey(systemRandom);
  const [first, second] = [identityAt(master, "bap:0", "first", systemRandom), identityAt(master, "bap:1", "zwei ✓ <&>", systemRandom)];
  const made = [
    await masterBackup(master, [first, second], "both", now),
    await memberBackup(second, now),
    keyBackup(second, now),
  ];
  for (const backup of made) {
    const text = await backup.encrypt("a password ✓", systemRandom, legacyIterations);
    assert.ok(isEncrypted(text));
    const back = await decryptBackup(text, "a password ✓", systemRandom);
    assert.deepEqual([back.kind, ids(back), back.label, back.createdAt], [backup.kind, ids(backup), backup.label, now]);
    assert.equal(back.identities.at(-1)!.name, "zwei ✓ <&>");
    assert.deepEqual(back.identities.at(-1)!.key, second.key);
  }
});

test("a member whose export cannot be read keeps its label", async () => {
  const backup = await parseBackup(JSON.stringify({ wif: formatWIF(keyOne()), id: "QklFMQ==", label: "mine" }), systemRandom);
  assert.deepEqual([backup.kind, backup.identities[0]!.name], ["member", "mine"]);
});

test("what is no backup is refused with a reason", async () => {
  const wif = formatWIF(keyOne());
  const many = Array.from({ length: 1001 }, () => ({ rootPath: "bap:0" }));
  const reasons: [string, RegExp][] = [
    ["", /51 or 52/],
    ["hello", /51 or 52/],
    ["{", /JSON/],
    ["{}", /no key/],
    ['{"wif":7}', /wrong type/],
    ['{"wif":"KxGR"}', /51 or 52/],
    ['{"xprv":"xprv9s21ZrQH143K"}', /xprv/],
    [JSON.stringify({ rootPk: wif, ids: "%" }), /cannot be decrypted/],
    [JSON.stringify({ rootPk: wif, ids: "QklFMQ==" }), /cannot be decrypted/],
    [JSON.stringify({ rootPk: wif, ids: await encryptExport(keyOne(), "text") }), /cannot be read/],
    [JSON.stringify({ rootPk: wif, ids: await encryptExport(keyOne(), { ids: many }) }), /more than 1000/],
    [JSON.stringify({ rootPk: wif, ids: await encryptExport(keyOne(), { ids: [{ rootPath: "bap:0", bapId: "x" }] }) }), /not the one its path/],
    ["x".repeat((1 << 20) + 1), /larger/],
  ];
  for (const [text, why] of reasons) {
    await assert.rejects(parseBackup(text, systemRandom), (e) => e instanceof NotABackupError && why.test(e.message), text.slice(0, 40));
  }
  const binary = await seal(Uint8Array.of(0xff, 0xfe), "pw", systemRandom);
  await assert.rejects(decryptBackup(binary, "pw", systemRandom), NotABackupError);
  for (const text of ["", "hello", base64(new Uint8Array(44)), "A".repeat((1 << 20) + 4)]) {
    assert.equal(isEncrypted(text), false);
    await assert.rejects(open(text, "pw"), NotABackupError);
  }
});

test("a damaged backup is a wrong password, whichever byte is damaged", async () => {
  const raw = fromBase64(await keyBackup(testIdentity(), now).encrypt("pw", counting()));
  for (const at of [0, 16, 28, raw.length - 1]) {
    const damaged = raw.slice();
    damaged[at]! ^= 1;
    await assert.rejects(open(base64(damaged), "pw"), WrongPasswordError);
  }
});

test("a backup shows nothing of its keys", async () => {
  const backup = await memberBackup(testIdentity(), now);
  const { inspect } = await import("node:util");
  for (const text of [inspect(backup, { showHidden: true, depth: 9 }), JSON.stringify(backup)]) assert.ok(!text.includes(formatWIF(keyOne())));
});

test("Electrum ECIES is read and written both ways", async () => {
  const v = encryptionVectors().electrumEcies;
  const [sender, recipient, theirs] = [fromHex(v.sender), fromHex(v.recipient), fromBase64(v.ciphertextBase64)];
  const ours = await encrypt(utf8(v.plaintext), sender, publicKeyOf(recipient));
  assert.deepEqual(ours, theirs); // nothing in it is drawn
  assert.equal(fromUTF8(await decrypt(theirs, recipient)), v.plaintext);
  await assert.rejects(decrypt(theirs, sender), DecryptError);
  const refused = async (message: Bytes, what: string) => assert.rejects(decrypt(message, recipient), DecryptError, what);
  for (let cut = 0; cut < theirs.length; cut++) await refused(theirs.slice(0, cut), `cut to ${cut}`);
  for (let at = 0; at < theirs.length; at++) {
    const changed = theirs.slice();
    changed[at]! ^= 1;
    await refused(changed, `byte ${at}`);
  }
  await refused(concat(theirs, new Uint8Array(16)), "a block more");
});
