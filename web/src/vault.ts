// Unlocked keys, in memory only. They are dropped after ten idle minutes, on
// lock(), and when the page goes away (device page, "Keys in the browser").

import { decryptBackup } from "./crypto/backup";
import { NotABackupError } from "./crypto/bep";
import { type Bytes, type Random, systemRandom } from "./crypto/bytes";
import type { Identity } from "./crypto/identity";
import { LockedError, type Signer } from "./crypto/signer";
import type { KeyRecord } from "./keystore";

/** Time, passed in. after calls back once and returns how to call that off. */
export interface Clock {
  now(): number;
  after(milliseconds: number, then: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, then) {
    const timer = setTimeout(then, milliseconds);
    return () => clearTimeout(timer);
  },
};

export const idleMilliseconds = 10 * 60 * 1000;

export class Vault {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #held = new Map<string, Identity>();
  readonly #listeners = new Set<() => void>();
  #lastUsed = 0;
  #stopTimer: (() => void) | undefined;
  /** Counts the lockings, so that an unlocking that began before one comes to nothing. */
  #lockings = 0;

  constructor(clock: Clock = systemClock, random: Random = systemRandom) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Decrypts a stored identity and holds its key; tells too how its backup is to be
   * kept from now on. Throws WrongPasswordError, NotABackupError for a record that is
   * damaged, and LockedError when the vault was locked meanwhile.
   */
  async unlock(record: Pick<KeyRecord, "bapId" | "bep">, password: string): Promise<{ signer: Signer; bep: string }> {
    const lockings = this.#lockings;
    const backup = await decryptBackup(record.bep, password, this.#random);
    const identity = backup.identities.find((i) => i.bapId === record.bapId);
    if (lockings !== this.#lockings) {
      backup.forgetAllBut();
      throw new LockedError("locked before it was unlocked");
    }
    backup.forgetAllBut(identity);
    if (!identity) throw new NotABackupError("the stored backup does not hold this identity");
    return { signer: this.hold(identity), bep: backup.bep ?? record.bep };
  }

  /** Holds an identity that was made or imported just now. */
  hold(identity: Identity): Signer {
    this.touch(); // before it is held: what was idle too long is dropped without it
    if (this.#held.get(identity.bapId) !== identity) this.#held.get(identity.bapId)?.forget();
    this.#held.set(identity.bapId, identity);
    this.touch();
    return this.#signer(identity);
  }

  /** The signer of an unlocked identity, or undefined when it is locked. */
  signer(bapId: string): Signer | undefined {
    this.#lockIfIdle();
    const identity = this.#held.get(bapId);
    return identity && this.#signer(identity);
  }

  /** The signer of whichever identity is unlocked. */
  anySigner(): Signer | undefined {
    this.#lockIfIdle();
    const [identity] = this.#held.values();
    return identity && this.#signer(identity);
  }

  /** Whether any key is unlocked. */
  get unlocked(): boolean {
    this.#lockIfIdle();
    return this.#held.size > 0;
  }

  /** Says that the person is there: ten minutes begin anew. */
  touch(): void {
    this.#lockIfIdle();
    this.#lastUsed = this.#clock.now();
    this.#stopTimer?.();
    this.#stopTimer = this.#held.size > 0 ? this.#clock.after(idleMilliseconds, () => this.#lockIfIdle()) : undefined;
  }

  /** Drops the key of one identity, and whatever unlocking is under way. */
  drop(bapId: string): void {
    this.#lockings++;
    const identity = this.#held.get(bapId);
    if (!identity) return;
    identity.forget();
    this.#held.delete(bapId);
    if (this.#held.size === 0) this.#stopTimer?.();
    for (const listener of this.#listeners) listener();
  }

  /** Drops every key. */
  lock(): void {
    this.#lockings++;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#held.size === 0) return;
    for (const identity of this.#held.values()) identity.forget();
    this.#held.clear();
    for (const listener of this.#listeners) listener();
  }

  /** Calls back whenever keys were dropped. */
  onLock(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Locks when the page goes away, into the back-forward cache too. */
  lockOnPageHide(page: EventTarget): void {
    page.addEventListener("pagehide", () => this.lock());
  }

  /** Timers stand still while a machine sleeps, so the clock is asked as well. */
  #lockIfIdle(): void {
    if (this.#held.size > 0 && this.#clock.now() - this.#lastUsed >= idleMilliseconds) this.lock();
  }

  #signer(identity: Identity): Signer {
    return {
      pubkey: identity.pubkey,
      bapId: identity.bapId,
      sign: async (message: Bytes) => {
        this.touch();
        const held = this.#held.get(identity.bapId);
        if (!held) throw new LockedError("this identity is locked");
        return held.sign(message);
      },
    };
  }
}
