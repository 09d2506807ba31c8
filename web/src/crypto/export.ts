// The parts of a backup that a key encrypts to itself: the list of a master's
// identities (`ids`) and a member's own export (`id`). Names of members are
// those that the libraries of the field write.

import { base64, type Bytes, fromBase64, fromUTF8, type Random, utf8 } from "./bytes";
import { NotABackupError } from "./bep";
import { decrypt, encrypt } from "./ecies";
import { type Identity, identityAt, masterPath } from "./identity";
import { formatWIF, type PrivateKey, publicKeyOf } from "./keys";
import { ownChild } from "./type42";

/** The libraries of the field agreed on this text. */
const exportInvoice = "m/424150'/2147483647'/2147483647'";

/** How many identities one master's backup may list. */
const maxIdentities = 1000;

export async function encryptExport(key: PrivateKey, value: unknown): Promise<string> {
  const own = ownChild(key, exportInvoice);
  return base64(await encrypt(utf8(JSON.stringify(value)), own, publicKeyOf(own)));
}

/** Throws NotABackupError. */
async function decryptExport(key: PrivateKey, text: string): Promise<unknown> {
  let plaintext: Bytes;
  try {
    plaintext = await decrypt(fromBase64(text), ownChild(key, exportInvoice));
  } catch {
    throw new NotABackupError("an encrypted part of it cannot be decrypted");
  }
  try {
    return JSON.parse(fromUTF8(plaintext)) as unknown;
  } catch {
    throw new NotABackupError("an encrypted part of it cannot be read");
  }
}

/** A member's own export. */
export function memberExport(i: Identity): Promise<string> {
  return encryptExport(i.key, {
    name: i.name,
    description: "",
    derivedPrivateKey: formatWIF(i.key),
    address: i.signingAddress(0),
    identityAttributes: {},
    identityKey: i.bapId,
    counter: 0,
  });
}

/** The name in a member's export, or empty where it cannot be read. */
export async function exportedName(key: PrivateKey, text: string): Promise<string> {
  try {
    return textOf(await decryptExport(key, text), "name");
  } catch {
    return "";
  }
}

/** The list of a master's identities. */
export function masterExport(master: PrivateKey, identities: readonly Identity[]): Promise<string> {
  return encryptExport(master, {
    lastIdPath: identities.at(-1)?.path ?? "",
    ids: identities.map((i) => ({
      name: i.name,
      description: "",
      identityKey: i.bapId,
      rootPath: i.path ?? "",
      rootAddress: i.rootAddress,
      previousPath: i.path ?? "",
      currentPath: i.path ?? "",
      idSeed: "",
      identityAttributes: {},
      lastIdPath: "",
    })),
  });
}

/**
 * Reads the list of a master's identities; without one there is the first, which
 * every master has. Throws NotABackupError.
 */
export async function masterIdentities(master: PrivateKey, ids: string, random: Random): Promise<Identity[]> {
  if (ids === "") return [identityAt(master, masterPath(0), "", random)];
  const list = await decryptExport(master, ids);
  const entries: unknown = isObject(list) ? (list["ids"] ?? []) : undefined;
  if (!Array.isArray(entries)) throw new NotABackupError("its list of identities cannot be read");
  if (entries.length > maxIdentities) throw new NotABackupError(`it lists more than ${maxIdentities} identities`);
  return entries.map((entry: unknown) => {
    const path = textOf(entry, "rootPath");
    const identity = identityAt(master, path, textOf(entry, "name"), random);
    // Older libraries say identityKey for what newer ones call bapId.
    const wanted = textOf(entry, "bapId") || textOf(entry, "identityKey");
    if (wanted !== "" && wanted !== identity.bapId) throw new NotABackupError("an identity in it is not the one its path gives");
    return identity;
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text member of an object, or empty when it is not there. Throws NotABackupError for another type. */
export function textOf(object: unknown, name: string): string {
  const value: unknown = isObject(object) ? object[name] : undefined;
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new NotABackupError("a member of it is of the wrong type");
  return value;
}
