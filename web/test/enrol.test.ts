import assert from "node:assert/strict";
import { test } from "node:test";

import { masterBackup } from "../src/crypto/backup";
import { iterations, legacyIterations, NotABackupError, open, WrongPasswordError } from "../src/crypto/bep";
import { fromUTF8, systemRandom, utf8 } from "../src/crypto/bytes";
import { type Identity, identityAt, masterPath } from "../src/crypto/identity";
import { parseWIF } from "../src/crypto/keys";
import { createIdentity, needsPassword, readBackup, takeIdentity } from "../src/enrol";
import { Vault } from "../src/vault";
import { backupVectors, identityVectors, now } from "./vectors";

const password = "plum harbour ticket nine";

test("a new identity is kept as a member's backup under its password", async () => {
  const { identity, record } = await createIdentity("satoshi", password, systemRandom, now);
  const { bep, ...rest } = record;
  assert.deepEqual(rest, {
    bapId: identity.bapId, name: "satoshi", pubkey: identity.pubkey, kind: "member",
    createdAt: now.getTime(), lastUsedAt: now.getTime(), saved: false, rounds: iterations,
  });
  assert.equal(needsPassword(bep), true);
  const back = await readBackup(bep, password, systemRandom);
  assert.deepEqual([back.kind, back.identities[0]!.bapId, back.identities[0]!.name], ["member", identity.bapId, "satoshi"]);
  await assert.rejects(readBackup(bep, "another", systemRandom), WrongPasswordError);
});

test("what older software encrypted is kept encrypted anew, with everything that was in it", async () => {
  for (const v of backupVectors().cases.filter((v) => v.iterations === legacyIterations)) {
    const backup = await readBackup(v.encrypted, v.passphrase, systemRandom);
    const { bapId } = backup.identities[0]!;
    const { record } = await takeIdentity({ backup, bapId }, v.passphrase, systemRandom, now);
    const { plaintext, rounds } = await open(record.bep, v.passphrase);
    assert.deepEqual([JSON.parse(fromUTF8(plaintext)), rounds, record.rounds, record.saved], [v.payload, iterations, iterations, true]);
    await assert.rejects(open(record.bep, v.passphrase + "x"), WrongPasswordError);
  }
});

test("an encrypted master is kept as it is, for the identity that was chosen", async () => {
  const master = parseWIF(identityVectors().identities[0]!.master.rootPk);
  const [first, second] = [0, 1].map((n) => identityAt(master, masterPath(n), `number ${n}`, systemRandom)) as [Identity, Identity];
  const made = await masterBackup(master, [first, second], "both", new Date(5));
  const text = (await made.encrypt(password, systemRandom)) + "\n";

  const backup = await readBackup(text, password, systemRandom);
  assert.deepEqual(backup.identities.map((i) => [i.name, i.path]), [["number 0", "bap:0"], ["number 1", "bap:1"]]);
  const { identity, record } = await takeIdentity({ backup, bapId: second.bapId }, password, systemRandom, now);
  assert.deepEqual(record, {
    bapId: second.bapId, name: "number 1", pubkey: second.pubkey, bep: text.trim(), kind: "master", path: "bap:1",
    createdAt: 5, lastUsedAt: now.getTime(), saved: true, rounds: iterations,
  });
  assert.throws(() => backup.identities[0]!.key, /locked/);
  assert.ok((await identity.sign(utf8("x"))).length > 0);
});

test("a backup in the clear is encrypted before it is kept", async () => {
  const { member } = identityVectors().identities[1]!;
  for (const [text, kind] of [[JSON.stringify(member), "member"], [member.derivedPrivateKey, "key"]] as const) {
    assert.equal(needsPassword(text), false);
    const backup = await readBackup(text, "", systemRandom);
    const { record } = await takeIdentity({ backup, bapId: member.identityKey, name: "given" }, password, systemRandom, now);
    assert.deepEqual([record.kind, record.saved, record.name], [kind, false, kind === "member" ? member.name : "given"]);
    assert.ok(!record.bep.includes(member.derivedPrivateKey));
    const vault = new Vault();
    assert.equal((await vault.unlock(record, password)).signer.bapId, member.identityKey);
    vault.lock();
  }
});

test("an identity that is not in the backup cannot be taken", async () => {
  const text = identityVectors().identities[0]!.member.derivedPrivateKey;
  const backup = await readBackup(text, "", systemRandom);
  await assert.rejects(takeIdentity({ backup, bapId: "another" }, password, systemRandom, now), NotABackupError);
});
