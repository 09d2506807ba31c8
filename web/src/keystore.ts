// The identities this browser keeps: encrypted backups in IndexedDB, with what is
// needed to list them. Nothing here is secret without the password. Unlocking is
// vault.ts; how a record comes to be is enrol.ts.

import type { Kind } from "./crypto/backup";

/** An identity as it is kept. Times are in milliseconds. */
export interface KeyRecord {
  bapId: string;
  name: string;
  /** The member key: compressed, lower-case hex. */
  pubkey: string;
  /** The whole encrypted backup, base64. A master's may hold other identities too. */
  bep: string;
  /** The rounds of PBKDF2 that it has; not there before it was first unlocked, where it was kept before this was. */
  rounds?: number;
  kind: Kind;
  /** Where a master derives it. */
  path?: string;
  createdAt: number;
  lastUsedAt: number;
  /** Whether its owner is known to have a copy outside this browser. */
  saved: boolean;
}

/** The browser keeps nothing for this page: a private window, or storage that is full or switched off. */
export class StorageError extends Error {
  override readonly name = "StorageError";
}

const database = "countersign";
const version = 1;
const store = "identities";

/** Every method throws StorageError. */
export class Keystore {
  readonly #factory: IDBFactory | undefined;
  #opening: Promise<IDBDatabase> | undefined;

  constructor(factory: IDBFactory | undefined) {
    this.#factory = factory;
  }

  /** All identities, the last used first. */
  async list(): Promise<KeyRecord[]> {
    const all = await this.#run("readonly", (s) => s.getAll() as IDBRequest<KeyRecord[]>);
    return all.sort((a, b) => b.lastUsedAt - a.lastUsedAt);
  }

  get(bapId: string): Promise<KeyRecord | undefined> {
    return this.#run("readonly", (s) => s.get(bapId) as IDBRequest<KeyRecord | undefined>);
  }

  /** Adds an identity, or replaces the record of the same one. */
  async put(record: KeyRecord): Promise<void> {
    await this.#run("readwrite", (s) => s.put(record));
  }

  async remove(bapId: string): Promise<void> {
    await this.#run("readwrite", (s) => s.delete(bapId));
  }

  /**
   * Says that an identity was unlocked, and keeps its backup as it is to be kept from
   * now on, unless another came in its place meanwhile. One that is not kept here is
   * left alone.
   */
  unlocked({ bapId, bep }: Pick<KeyRecord, "bapId" | "bep">, kept: Pick<KeyRecord, "bep" | "rounds">, now: number): Promise<void> {
    return this.#change(bapId, (found) => ({ lastUsedAt: now, ...(found.bep === bep && kept) }));
  }

  /** Says that the owner has a copy outside this browser. */
  markSaved(bapId: string): Promise<void> {
    return this.#change(bapId, () => ({ saved: true }));
  }

  /** Says what an identity is called now. */
  rename(bapId: string, name: string): Promise<void> {
    return this.#change(bapId, () => ({ name }));
  }

  /** Changes a record in one transaction, so that two tabs undo nothing of each other. */
  async #change(bapId: string, change: (found: KeyRecord) => Partial<KeyRecord>): Promise<void> {
    await this.#run("readwrite", (s) => {
      const found = s.get(bapId) as IDBRequest<KeyRecord | undefined>;
      found.onsuccess = () => {
        if (found.result) s.put({ ...found.result, ...change(found.result) });
      };
      return found;
    });
  }

  /** Runs one transaction and answers when it is done, not just asked for. */
  async #run<T>(mode: IDBTransactionMode, ask: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const db = await this.#open();
    return new Promise((resolve, reject) => {
      const failed = (cause: unknown) => reject(new StorageError("this browser's storage failed", { cause }));
      try {
        const transaction = db.transaction(store, mode);
        const request = ask(transaction.objectStore(store));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => failed(transaction.error);
      } catch (error) {
        this.#opening = undefined; // closed meanwhile: open it anew the next time
        failed(error);
      }
    });
  }

  #open(): Promise<IDBDatabase> {
    return (this.#opening ??= this.#openDatabase().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    }));
  }

  #openDatabase(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const failed = (cause: unknown) => reject(new StorageError("this browser keeps nothing for this page", { cause }));
      if (!this.#factory) return failed(undefined);
      let request: IDBOpenDBRequest;
      try {
        request = this.#factory.open(database, version);
      } catch (error) {
        return failed(error); // some browsers throw in private windows
      }
      request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "bapId" });
      request.onerror = () => failed(request.error);
      request.onsuccess = () => {
        const db = request.result;
        db.onversionchange = () => db.close(); // a newer page wants to upgrade it
        db.onclose = () => (this.#opening = undefined);
        resolve(db);
      };
    });
  }
}
