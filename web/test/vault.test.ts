import assert from "node:assert/strict";
import { before, test } from "node:test";

import { decryptBackup, masterBackup } from "../src/crypto/backup";
import { iterations, legacyIterations, NotABackupError, open, WrongPasswordError } from "../src/crypto/bep";
import { type Bytes, systemRandom, utf8 } from "../src/crypto/bytes";
import { verify } from "../src/crypto/brc77";
import { type Identity, identityAt, masterPath } from "../src/crypto/identity";
import { parseWIF } from "../src/crypto/keys";
import { LockedError } from "../src/crypto/signer";
import { createIdentity, type Enrolled } from "../src/enrol";
import { type Clock, idleMilliseconds, Vault } from "../src/vault";
import { backupVectors, identityVectors, now } from "./vectors";

/** A clock that goes when it is told to, and whose timers may sleep. */
class TestClock implements Clock {
  time = now.getTime();
  timers: { at: number; then: () => void }[] = [];
  now = () => this.time;
  after = (milliseconds: number, then: () => void) => {
    const timer = { at: this.time + milliseconds, then };
    this.timers.push(timer);
    return () => void (this.timers = this.timers.filter((t) => t !== timer));
  };
  advance(milliseconds: number, { asleep = false } = {}): void {
    this.time += milliseconds;
    if (asleep) return;
    for (const timer of this.timers.filter((t) => t.at <= this.time)) {
      this.timers = this.timers.filter((t) => t !== timer);
      timer.then();
    }
  }
}

const password = "plum harbour ticket nine";
let enrolled: Enrolled;
before(async () => (enrolled = await createIdentity("satoshi", password, systemRandom, now)));

function make() {
  const clock = new TestClock();
  const vault = new Vault(clock, systemRandom);
  let lockings = 0;
  vault.onLock(() => lockings++);
  return { clock, vault, lockings: () => lockings };
}

const message: Bytes = utf8("hello");
const minute = 60_000;

test("unlocking gives a signer for the identity", async () => {
  const { vault } = make();
  assert.equal(vault.signer(enrolled.record.bapId), undefined);
  const { signer } = await vault.unlock(enrolled.record, password);
  assert.deepEqual([signer.bapId, signer.pubkey], [enrolled.record.bapId, enrolled.record.pubkey]);
  assert.equal(verify(message, await signer.sign(message)), enrolled.record.pubkey);
  assert.ok(vault.signer(enrolled.record.bapId));
});

test("a wrong password is an error of its own and unlocks nothing", async () => {
  const { vault, clock } = make();
  await assert.rejects(vault.unlock(enrolled.record, "another"), WrongPasswordError);
  assert.equal(vault.signer(enrolled.record.bapId), undefined);
  assert.equal(clock.timers.length, 0);
});

test("ten idle minutes drop the key", async () => {
  const { vault, clock, lockings } = make();
  const { signer } = await vault.unlock(enrolled.record, password);
  clock.advance(idleMilliseconds - 1);
  assert.ok(vault.signer(enrolled.record.bapId));
  assert.equal(lockings(), 0);
  clock.advance(1);
  assert.equal(lockings(), 1);
  assert.equal(vault.signer(enrolled.record.bapId), undefined);
  await assert.rejects(signer.sign(message), LockedError);
});

test("signing and touching begin the ten minutes anew, looking does not", async () => {
  const { vault, clock } = make();
  const { signer } = await vault.unlock(enrolled.record, password);
  clock.advance(9 * minute);
  await signer.sign(message);
  clock.advance(9 * minute);
  vault.touch();
  clock.advance(9 * minute);
  assert.ok(vault.signer(enrolled.record.bapId));
  clock.advance(minute);
  assert.equal(vault.signer(enrolled.record.bapId), undefined);
  assert.equal(clock.timers.length, 0);
});

test("a machine that slept does not wake with an unlocked key", async () => {
  for (const wake of ["look", "sign", "touch"] as const) {
    const { vault, clock, lockings } = make();
    const { signer } = await vault.unlock(enrolled.record, password);
    clock.advance(idleMilliseconds, { asleep: true });
    if (wake === "look") assert.equal(vault.signer(enrolled.record.bapId), undefined);
    if (wake === "sign") await assert.rejects(signer.sign(message), LockedError);
    if (wake === "touch") vault.touch();
    assert.equal(lockings(), 1, wake);
  }
});

test("a key that is unlocked after others were idle too long is held alone", async () => {
  const { vault, clock, lockings } = make();
  const first = await createIdentity("first", password, systemRandom, now);
  vault.hold(first.identity);
  clock.advance(idleMilliseconds, { asleep: true });
  const { signer } = await vault.unlock(enrolled.record, password);
  assert.equal(lockings(), 1);
  assert.equal(vault.signer(first.record.bapId), undefined);
  assert.equal(verify(message, await signer.sign(message)), enrolled.record.pubkey);
});

test("lock drops every key at once and overwrites it", async () => {
  const { vault, clock, lockings } = make();
  const fresh = await createIdentity("other", password, systemRandom, now);
  const key = fresh.identity.key;
  const held = vault.hold(fresh.identity);
  const { signer: unlocked } = await vault.unlock(enrolled.record, password);
  vault.lock();
  vault.lock();
  assert.deepEqual(key, new Uint8Array(32) as Bytes);
  for (const signer of [held, unlocked]) await assert.rejects(signer.sign(message), LockedError);
  assert.equal(lockings(), 1);
  assert.equal(clock.timers.length, 0);
});

test("dropping one identity leaves the others unlocked", async () => {
  const { vault, clock, lockings } = make();
  const other = await createIdentity("other", password, systemRandom, now);
  const kept = vault.hold(other.identity);
  const { signer: dropped } = await vault.unlock(enrolled.record, password);
  vault.drop(enrolled.record.bapId);
  vault.drop(enrolled.record.bapId);
  await assert.rejects(dropped.sign(message), LockedError);
  assert.equal(vault.signer(enrolled.record.bapId), undefined);
  assert.equal(verify(message, await kept.sign(message)), other.record.pubkey);
  assert.equal(lockings(), 1);
  vault.drop(other.record.bapId);
  assert.equal(clock.timers.length, 0);

  const unlocking = vault.unlock(enrolled.record, password);
  vault.drop(enrolled.record.bapId);
  await assert.rejects(unlocking, LockedError);
});

test("the page going away locks, also while a password is being tried", async () => {
  const { vault } = make();
  const page = new EventTarget();
  vault.lockOnPageHide(page);
  const { signer } = await vault.unlock(enrolled.record, password);
  page.dispatchEvent(new Event("pagehide"));
  await assert.rejects(signer.sign(message), LockedError);

  const unlocking = vault.unlock(enrolled.record, password);
  page.dispatchEvent(new Event("pagehide"));
  await assert.rejects(unlocking, LockedError);
  assert.equal(vault.signer(enrolled.record.bapId), undefined);
});

test("one identity of a master is unlocked, not the others", async () => {
  const { vault } = make();
  const master = parseWIF(identityVectors().identities[0]!.master.rootPk);
  const [first, second] = [0, 1].map((n) => identityAt(master, masterPath(n), "", systemRandom)) as [Identity, Identity];
  const bep = await (await masterBackup(master, [first, second], "", now)).encrypt(password, systemRandom);
  const { signer } = await vault.unlock({ bapId: second.bapId, bep }, password);
  assert.equal(signer.bapId, second.bapId);
  assert.equal(vault.signer(first.bapId), undefined);
  await assert.rejects(vault.unlock({ bapId: "another", bep }, password), NotABackupError);
});

test("what older software encrypted is unlocked and encrypted anew, what is of today stays", async () => {
  for (const v of backupVectors().cases) {
    const { vault } = make();
    const [identity] = (await decryptBackup(v.encrypted, v.passphrase, systemRandom)).identities;
    const { signer, bep } = await vault.unlock({ bapId: identity!.bapId, bep: v.encrypted }, v.passphrase);
    assert.equal(verify(message, await signer.sign(message)), identity!.pubkey);
    assert.equal(bep === v.encrypted, v.iterations === iterations);
    assert.equal((await open(bep, v.passphrase)).rounds, iterations);
  }
});

test("locking while a backup is encrypted anew holds nothing", async () => {
  const { vault } = make();
  const v = backupVectors().cases.find((v) => v.iterations === legacyIterations)!;
  const [identity] = (await decryptBackup(v.encrypted, v.passphrase, systemRandom)).identities;
  const unlocking = vault.unlock({ bapId: identity!.bapId, bep: v.encrypted }, v.passphrase);
  vault.lock();
  await assert.rejects(unlocking, LockedError);
  assert.equal(vault.unlocked, false);
});

test("unlocking twice leaves one key, and the older signer still works", async () => {
  const { vault } = make();
  const { signer: first } = await vault.unlock(enrolled.record, password);
  const { signer: second } = await vault.unlock(enrolled.record, password);
  for (const signer of [first, second]) assert.equal(verify(message, await signer.sign(message)), enrolled.record.pubkey);
});
