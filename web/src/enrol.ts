// How an identity comes into this browser: made here, or read from a backup. The
// outcome is a record for the keystore.

import { type Backup, decryptBackup, memberBackup, parseBackup } from "./crypto/backup";
import { isEncrypted, iterations, NotABackupError } from "./crypto/bep";
import type { Random } from "./crypto/bytes";
import { Identity } from "./crypto/identity";
import type { KeyRecord } from "./keystore";

export interface Enrolled {
  identity: Identity;
  record: KeyRecord;
}

/** Makes a new identity with a key of its own, in a backup under a password. */
export async function createIdentity(name: string, password: string, random: Random, now: Date): Promise<Enrolled> {
  const identity = Identity.create(name, random);
  const backup = await memberBackup(identity, now);
  return { identity, record: recordOf(backup, identity, await backup.encrypt(password, random), false, now) };
}

/** Whether a text needs a password to be read, or is a backup in the clear. */
export function needsPassword(text: string): boolean {
  return isEncrypted(text);
}

/** Reads a backup, encrypted or in the clear. Throws NotABackupError or WrongPasswordError. */
export function readBackup(text: string, password: string, random: Random): Promise<Backup> {
  return needsPassword(text) ? decryptBackup(text, password, random) : parseBackup(text, random);
}

/**
 * Takes one identity of a backup over and forgets the others. A backup in the clear
 * is encrypted under the password before it is kept. A name given here counts where the backup has none. Throws
 * NotABackupError when the backup does not hold the identity.
 */
export async function takeIdentity(
  from: { backup: Backup; bapId: string; name?: string },
  password: string,
  random: Random,
  now: Date,
): Promise<Enrolled> {
  const { backup } = from;
  const identity = backup.identities.find((i) => i.bapId === from.bapId);
  if (!identity) throw new NotABackupError("this identity is not in it");
  const bep = backup.bep ?? (await backup.encrypt(password, random));
  backup.forgetAllBut(identity);
  const record = recordOf(backup, identity, bep, backup.bep !== undefined, now);
  return { identity, record: { ...record, name: record.name || from.name || "" } };
}

function recordOf(backup: Backup, i: Identity, bep: string, saved: boolean, now: Date): KeyRecord {
  const at = now.getTime();
  return {
    bapId: i.bapId,
    name: i.name,
    pubkey: i.pubkey,
    bep,
    rounds: iterations,
    kind: backup.kind,
    ...(i.path !== undefined && { path: i.path }),
    createdAt: backup.createdAt?.getTime() ?? at,
    lastUsedAt: at,
    saved,
  };
}
