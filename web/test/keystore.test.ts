import assert from "node:assert/strict";
import { test } from "node:test";

import { IDBFactory } from "fake-indexeddb";

import { type KeyRecord, Keystore, StorageError } from "../src/keystore";

function record(bapId: string, lastUsedAt: number): KeyRecord {
  return { bapId, name: bapId, pubkey: "02", bep: "AAAA", kind: "member", createdAt: 1, lastUsedAt, saved: false };
}

test("identities are kept, and listed with the last used first", async () => {
  const factory = new IDBFactory();
  const keystore = new Keystore(factory);
  assert.deepEqual(await keystore.list(), []);
  await keystore.put(record("a", 10));
  await keystore.put({ ...record("b", 20), kind: "master", path: "bap:1" });
  assert.deepEqual((await keystore.list()).map((r) => r.bapId), ["b", "a"]);
  await keystore.unlocked(record("a", 10), { bep: "AAAA", rounds: 600_000 }, 30);
  assert.deepEqual((await keystore.list()).map((r) => [r.bapId, r.lastUsedAt]), [["a", 30], ["b", 20]]);

  const inAnotherTab = new Keystore(factory);
  assert.deepEqual(await inAnotherTab.get("b"), { ...record("b", 20), kind: "master", path: "bap:1" });
});

test("putting the same identity again replaces it", async () => {
  const keystore = new Keystore(new IDBFactory());
  await keystore.put(record("a", 1));
  await keystore.put({ ...record("a", 2), name: "other" });
  assert.deepEqual((await keystore.list()).map((r) => r.name), ["other"]);
});

test("unlocking, marking and renaming change what is theirs, and bring nothing back", async () => {
  const keystore = new Keystore(new IDBFactory());
  const anew = { bep: "BBBB", rounds: 600_000 };
  await keystore.put(record("a", 1));
  await Promise.all([keystore.markSaved("a"), keystore.unlocked(record("a", 1), anew, 5), keystore.rename("a", "other")]);
  assert.deepEqual(await keystore.get("a"), { ...record("a", 5), ...anew, name: "other", saved: true });
  await keystore.remove("a");
  await Promise.all([keystore.markSaved("a"), keystore.unlocked(record("a", 5), anew, 6), keystore.rename("a", "a")]);
  assert.deepEqual(await keystore.list(), []);
});

test("a backup that was encrypted anew replaces only the one that it was made of", async () => {
  const keystore = new Keystore(new IDBFactory());
  await keystore.put({ ...record("a", 1), bep: "imported meanwhile, perhaps under another password" });
  await keystore.unlocked(record("a", 1), { bep: "BBBB", rounds: 600_000 }, 5);
  assert.deepEqual(await keystore.get("a"), { ...record("a", 5), bep: "imported meanwhile, perhaps under another password" });
});

test("another tab may delete or upgrade the database", async () => {
  const factory = new IDBFactory();
  const keystore = new Keystore(factory);
  await keystore.put(record("a", 1));
  await new Promise((resolve, reject) => {
    const request = factory.deleteDatabase("countersign");
    request.onsuccess = resolve;
    request.onerror = reject;
  });
  await assert.rejects(keystore.list(), StorageError);
  assert.deepEqual(await keystore.list(), []); // opened anew
});

test("a browser that keeps nothing says so", async () => {
  const throwing = { open: () => { throw new Error("SecurityError"); } } as unknown as IDBFactory;
  for (const factory of [undefined, throwing]) {
    await assert.rejects(new Keystore(factory).list(), StorageError);
    await assert.rejects(new Keystore(factory).put(record("a", 1)), StorageError);
  }
});

test("a value that cannot be stored is an error, and the store goes on", async () => {
  const keystore = new Keystore(new IDBFactory());
  await assert.rejects(keystore.put({ ...record("a", 1), name: (() => "") as unknown as string }), StorageError);
  await keystore.put(record("a", 1));
  assert.equal((await keystore.list()).length, 1);
});
