// What a .bep file holds: a master with its identities, one member, or one bare
// key. The kinds are told apart by which members the JSON has. A backup can also
// come in the clear: an identity's export as JSON, or a bare WIF.

import { type Bytes, EncodingError, fromUTF8, type Random, utf8 } from "./bytes";
import { iterations, maxBackup, NotABackupError, open, seal } from "./bep";
import { exportedName, isObject, masterExport, masterIdentities, memberExport, textOf } from "./export";
import { Identity } from "./identity";
import { formatWIF, KeyError, parseWIF, type PrivateKey } from "./keys";

export type Kind = "master" | "member" | "key";

/** A backup that was read. Its plaintext is in a private field: see Identity. */
export class Backup {
  readonly #payload: string;
  /** As it is to be kept: the file it was in, encrypted anew where that had fewer rounds. None of what came in the clear. */
  bep: string | undefined;

  constructor(
    readonly kind: Kind,
    readonly label: string,
    readonly createdAt: Date | undefined,
    readonly identities: readonly Identity[],
    payload: string,
  ) {
    this.#payload = payload;
  }

  /** Writes a .bep file. */
  encrypt(password: string, random: Random, rounds?: number): Promise<string> {
    return seal(utf8(this.#payload), password, random, rounds);
  }

  /** Drops the keys of all identities but one. */
  forgetAllBut(kept?: Identity): void {
    for (const identity of this.identities) if (identity !== kept) identity.forget();
  }
}

/** A backup of one identity without a master. */
export async function memberBackup(i: Identity, createdAt: Date): Promise<Backup> {
  const payload = { wif: formatWIF(i.key), id: await memberExport(i), ...labelled(i.name, createdAt) };
  return new Backup("member", i.name, createdAt, [i], JSON.stringify(payload));
}

/** A backup of a master and some of its identities. */
export async function masterBackup(master: PrivateKey, identities: readonly Identity[], label: string, createdAt: Date): Promise<Backup> {
  const payload = { ids: await masterExport(master, identities), rootPk: formatWIF(master), ...labelled(label, createdAt) };
  return new Backup("master", label, createdAt, identities, JSON.stringify(payload));
}

/** A backup of one bare key. */
export function keyBackup(i: Identity, createdAt?: Date): Backup {
  return new Backup("key", i.name, createdAt, [i], JSON.stringify({ wif: formatWIF(i.key), ...labelled(i.name, createdAt) }));
}

function labelled(label: string, createdAt?: Date): { label?: string; createdAt?: string } {
  return { ...(label && { label }), ...(createdAt && { createdAt: createdAt.toISOString() }) };
}

/** Reads a .bep file. Throws NotABackupError or WrongPasswordError. */
export async function decryptBackup(text: string, password: string, random: Random): Promise<Backup> {
  const { plaintext, rounds } = await open(text, password);
  const backup = await parseBackup(plaintextOf(plaintext), random);
  plaintext.fill(0);
  backup.bep = rounds < iterations ? await backup.encrypt(password, random) : text.trim();
  return backup;
}

function plaintextOf(bytes: Bytes): string {
  try {
    return fromUTF8(bytes);
  } catch (error) {
    if (error instanceof EncodingError) throw new NotABackupError("what is inside is not text");
    throw error;
  }
}

/**
 * Reads a backup in the clear: what was in a .bep file, an identity exported as
 * JSON, or a bare WIF. Throws NotABackupError.
 */
export async function parseBackup(text: string, random: Random): Promise<Backup> {
  if (text.length > maxBackup) throw new NotABackupError("larger than a backup can be");
  try {
    const trimmed = text.trim();
    return trimmed.startsWith("{") ? await readJSON(trimmed, random) : keyBackup(new Identity("", parseWIF(trimmed), random));
  } catch (error) {
    if (error instanceof KeyError) throw new NotABackupError(`the key in it cannot be read: ${error.message}`);
    throw error;
  }
}

async function readJSON(payload: string, random: Random): Promise<Backup> {
  const p = parseObject(payload);
  const [root, xprv, derived, wif, id] = ["rootPk", "xprv", "derivedPrivateKey", "wif", "id"].map((name) => textOf(p, name));
  const label = textOf(p, "label");
  const name = textOf(p, "name") || label;
  const backup = (kind: Kind, identities: Identity[]) => new Backup(kind, label, timeOf(textOf(p, "createdAt")), identities, payload);

  if (root) {
    const master = parseWIF(root);
    const identities = await masterIdentities(master, textOf(p, "ids"), random);
    master.fill(0);
    return backup("master", identities);
  }
  if (xprv) throw new NotABackupError("a BIP-32 master (xprv) is not supported; export its identities as members");
  if (derived) return backup("member", [new Identity(name, parseWIF(derived), random)]);
  if (wif && id) {
    const key = parseWIF(wif);
    return backup("member", [new Identity((await exportedName(key, id)) || name, key, random)]);
  }
  if (wif) return backup("key", [new Identity(name, parseWIF(wif), random)]);
  throw new NotABackupError("no key in it");
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!isObject(value)) throw new NotABackupError("the JSON cannot be read");
  return value;
}

function timeOf(text: string): Date | undefined {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
