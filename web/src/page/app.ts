// What lasts from page to page while the document does: the identities this
// browser keeps, those that are unlocked, and who signs for whom.

import { systemRandom } from "../crypto/bytes";
import type { Signer } from "../crypto/signer";
import type * as Curve from "../curve";
import { Keystore, type KeyRecord, StorageError } from "../keystore";
import { say } from "./dom";
import { PasskeyError, PasskeyThereError, RefusedError } from "./passkey";

/** The ways to prove an identity, in the order of the page. */
export type Way = "browser" | "new" | "import" | "wallet" | "passkey" | "command";

/** No key that could sign for the account is at hand; another of the account may be, which does not do here. */
export class NoVoucherError extends Error {
  override readonly name = "NoVoucherError";
  constructor(readonly another: boolean) {
    super("no key that may sign is at hand");
  }
}

/** What refusals are to a person, by what tells them apart. The server's own words are for programs, in English. */
const refusals: Record<string, string> = {
  ACCOUNT_FULL: "refused-full",
  OTHER_ACCOUNT: "refused-elsewhere",
  RESTORE_PROFILE_NOT_FOUND: "refused-no-account",
  USER_NOT_FOUND: "refused-no-account",
  VOUCH_REQUIRED: "refused-unknown",
  access_denied: "refused-forbidden",
  not_found: "refused-gone",
  server_error: "failed",
  temporarily_unavailable: "refused-busy",
  unauthorized: "refused-unknown",
};

function refusal({ error, code }: { error: string; code: string }): string {
  return say(refusals[code] ?? refusals[error] ?? "refused");
}

/** The event on the document that says that keys were dropped. */
export const locked = "countersign-locked";

const lastWay = "countersign.way";

export class App {
  readonly keystore = new Keystore(globalThis.indexedDB);
  #curve: Promise<typeof Curve> | undefined;
  #vault: Curve.Vault | undefined;
  #wallet: Signer | undefined;
  #clockOff = 0;
  /** Whether a page is awaited that takes the session which was begun just now. */
  goingOn = false;

  /** What has to do with keys. It comes with the curve, so only where it is needed. */
  curve(): Promise<typeof Curve> {
    return (this.#curve ??= import("../curve").catch((error: unknown) => {
      this.#curve = undefined; // the next one who needs it asks again
      throw error;
    }));
  }

  async vault(): Promise<Curve.Vault> {
    const { Vault } = await this.curve();
    if (!this.#vault) {
      this.#vault = new Vault();
      const vault = this.#vault;
      vault.lockOnPageHide(window);
      vault.onLock(() => {
        this.showLock();
        document.dispatchEvent(new Event(locked));
      });
      for (const sign of ["keydown", "pointerdown"]) addEventListener(sign, () => vault.touch(), { passive: true });
    }
    return this.#vault;
  }

  /** Sets the clock that requests are signed by to the server's. */
  setClock(serverMilliseconds: number): void {
    this.#clockOff = serverMilliseconds - Date.now();
  }

  get api(): Curve.Api {
    return {
      issuer: document.querySelector("main")?.dataset["issuer"] ?? location.origin,
      fetch: (...request) => fetch(...request),
      now: () => new Date(Date.now() + this.#clockOff),
    };
  }

  /** The identities this browser keeps; none where it keeps nothing. */
  async records(): Promise<KeyRecord[]> {
    try {
      return await this.keystore.list();
    } catch {
      return [];
    }
  }

  /** Whether this browser keeps identities at all. */
  async keeps(): Promise<boolean> {
    return this.keystore.list().then(() => true, () => false);
  }

  /** Whether this browser takes cookies like that of a session. One is set to see, and taken away. */
  keepsCookies(): boolean {
    const [name, like] = ["countersign.try", `; Path=/; SameSite=Lax${this.api.issuer.startsWith("https:") ? "; Secure" : ""}`];
    document.cookie = `${name}=1${like}`;
    const kept = document.cookie.includes(`${name}=1`);
    document.cookie = `${name}=${like}; Max-Age=0`;
    return kept;
  }

  /** Who can sign for an identity now, without asking anybody. */
  signer(bapId: string): Signer | undefined {
    return this.#vault?.signer(bapId) ?? (this.#wallet?.bapId === bapId ? this.#wallet : undefined);
  }

  /** Whichever key is unlocked. A wallet is none: it would ask the person. */
  anySigner(): Signer | undefined {
    return this.#vault?.anySigner();
  }

  /** Whether a key is unlocked in this document. */
  get unlocked(): boolean {
    return !!this.#vault?.unlocked;
  }

  /** Whether the key of an identity is unlocked in this document. */
  holds(bapId: string): boolean {
    return !!this.#vault?.signer(bapId);
  }

  /** Unlocks a kept identity. What older software encrypted is kept encrypted anew: only here is the password at hand. */
  async unlock(record: KeyRecord, password: string): Promise<Signer> {
    const { iterations } = await this.curve();
    const { signer, bep } = await (await this.vault()).unlock(record, password);
    await this.keystore.unlocked(record, { bep, rounds: iterations }, Date.now());
    this.showLock();
    return signer;
  }

  /** Keeps an identity, and reports whether this browser keeps anything. */
  async keep(record: KeyRecord): Promise<boolean> {
    try {
      await this.keystore.put(record);
      return true;
    } catch (error) {
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  /** Calls an identity here what the server calls it, where this browser keeps it. */
  async rename(bapId: string, name: string): Promise<void> {
    try {
      await this.keystore.rename(bapId, name);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
    }
  }

  /** Forgets an identity in this browser, its unlocked key too. */
  async forget(bapId: string): Promise<void> {
    await this.keystore.remove(bapId);
    this.#vault?.drop(bapId);
  }

  /** Asks the wallet of this page, if there is one, and remembers it. */
  async wallet(): Promise<Signer | undefined> {
    const { findWallet, systemClock, walletSigner } = await this.curve();
    const found = findWallet(window);
    return found && (this.#wallet ??= await walletSigner(found, systemRandom, systemClock.after));
  }

  get lastWay(): Way | undefined {
    try {
      return (localStorage.getItem(lastWay) as Way | null) ?? undefined;
    } catch {
      return undefined;
    }
  }

  set lastWay(way: Way) {
    try {
      localStorage.setItem(lastWay, way);
    } catch {
      // A browser that keeps nothing remembers no way either.
    }
  }

  /** Shows the button that locks while there is something to lock. */
  showLock(): void {
    const button = document.querySelector<HTMLButtonElement>("[data-do=lock]");
    if (!button) return;
    button.hidden = !this.unlocked;
    button.onclick = () => this.#vault?.lock();
  }

  /** Says an error to a person. What is no refusal is a mistake of ours, and reported as one. */
  async reason(error: unknown): Promise<string> {
    if (error instanceof TypeError) return say("offline"); // what fetch and import throw
    if (error instanceof NoVoucherError) return say(error.another ? "no-other-voucher" : "no-voucher");
    if (error instanceof PasskeyError) return say("passkey-refused");
    if (error instanceof PasskeyThereError) return say("passkey-there");
    if (error instanceof RefusedError) return refusal(error);
    if (error instanceof StorageError) return say("no-storage");
    const known = await this.curve().catch(() => undefined);
    if (!known) return say("offline");
    const { ApiError, LockedError, NotABackupError, StatementError, WalletError, WrongPasswordError } = known;
    if (error instanceof WrongPasswordError) return say("wrong-password");
    if (error instanceof LockedError) return say("was-locked");
    if (error instanceof NotABackupError) return say("not-a-backup");
    if (error instanceof WalletError) return say("wallet-refused");
    if (error instanceof StatementError) return say("changed");
    if (error instanceof ApiError) return error.status === 0 ? say("offline") : refusal(error);
    reportError(error);
    return say("failed");
  }
}
