// What is made here is written to testdata/made-here.json, which the Go packages
// read in crosscheck_test.go. With the same random bytes it is always the same;
// UPDATE=1 writes it anew.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { type Backup, keyBackup, masterBackup, memberBackup } from "../src/crypto/backup";
import { identityAt, masterPath } from "../src/crypto/identity";
import { authToken } from "../src/crypto/token";
import { counting, keyOne, now, testIdentity } from "./vectors";

const file = "testdata/made-here.json";
const password = "plum harbour ✓ ticket nine";

async function make(): Promise<unknown> {
  const random = counting();
  const master = keyOne();
  const identities = [0, 1].map((n) => identityAt(master, masterPath(n), `identity ${n} <&> ✓`, random));
  const sealed = async (backup: Backup) => ({
    kind: backup.kind,
    bep: await backup.encrypt(password, random),
    bapIds: backup.identities.map((i) => i.bapId),
    names: backup.identities.map((i) => i.name),
  });
  const member = testIdentity("sätoshi <&> ✓");
  const tokens: [string, string][] = [["/api/auth/sign-in/sigma", '{"bapId":"✓"}'], ["/api/auth/device/approval?user_code=BCDF-GHJK&scope=openid+profile", ""]];
  return {
    password,
    createdAt: now.toISOString(),
    backups: [await sealed(await masterBackup(master, identities, "both ✓", now)), await sealed(await memberBackup(member, now)), await sealed(keyBackup(member, now))],
    tokens: await Promise.all(tokens.map(async ([path, body]) => ({ path, body, token: await authToken(member, path, body, now), pubkey: member.pubkey, bapId: member.bapId }))),
  };
}

test("what is made here is what the Go packages are tested with", async () => {
  const made = JSON.stringify(await make(), null, 2) + "\n";
  if (process.env["UPDATE"]) writeFileSync(file, made);
  assert.equal(made, readFileSync(file, "utf8"));
});
