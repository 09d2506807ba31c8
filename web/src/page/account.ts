// The owner's own page, where it needs a key: profiles and passkeys are signed for,
// and the keys in this browser are shown.

import type { Signer } from "../crypto/signer";
import type { KeyRecord } from "../keystore";
import { type App, locked, NoVoucherError } from "./app";
import { arranged, awaiting, backupName, busy, fail, need, offer, say } from "./dom";
import { mountImport } from "./enrolling";
import { makePasskey, passkeysThere } from "./passkey";
import { go } from "./soft";

/** What the server takes for the address of a picture: without a name and password in it. */
const picture = /^https:\/\/[^/?#@\s]+([/?#]|$)/i;

/** Mounts the account page; returns what ends it. */
export function mountAccount(app: App, main: HTMLElement): () => void {
  const ending = new AbortController();
  void fill(app, main, ending.signal);
  return () => ending.abort();
}

async function fill(app: App, main: HTMLElement, ended: AbortSignal): Promise<void> {
  const account = new Account(app, main, await app.records(), ended);
  await account.renewNames();
  if (ended.aborted) return;
  account.mountProfiles();
  account.mountPasskeys();
  account.mountKeys();
  account.mountBackups();
  account.mountLinking();
  account.mountTakingOut();
  arranged(main);
}

class Account {
  /** The identities of this account, by BAP id, with their names. The session's is the first. */
  readonly mine: Map<string, string>;

  constructor(
    readonly app: App,
    readonly main: HTMLElement,
    readonly records: KeyRecord[],
    readonly ended: AbortSignal,
  ) {
    const cards = [...main.querySelectorAll<HTMLElement>("[data-identity]")];
    const here = cards.filter((card) => card.querySelector(".badge"));
    this.mine = new Map([...here, ...cards].map((card) => [card.dataset["identity"] ?? "", need(card, "strong").textContent]));
  }

  /**
   * Who signs for a change of the account: a key that is unlocked, or one that is
   * unlocked for it, or the wallet. Nobody, where the person thinks better of it.
   * Throws NoVoucherError where no key of these is at hand.
   */
  async #voucher(bapIds: string[], what: (name: string) => string): Promise<Signer | undefined> {
    for (const bapId of bapIds) {
      const signer = this.app.signer(bapId);
      if (signer) return signer;
    }
    for (const bapId of bapIds) {
      const record = this.records.find((r) => r.bapId === bapId);
      if (record) return this.#unlockFor(record, what(this.mine.get(bapId) ?? record.name));
    }
    const wallet = "CWI" in window ? await this.app.wallet() : undefined;
    if (wallet && bapIds.includes(wallet.bapId)) return wallet;
    const here = (bapId: string) => !!this.app.signer(bapId) || this.records.some((r) => r.bapId === bapId);
    throw new NoVoucherError([...this.mine.keys()].some((bapId) => !bapIds.includes(bapId) && here(bapId)));
  }

  /** Asks for the password of a kept key, saying what it is going to sign. */
  #unlockFor(record: KeyRecord, what: string): Promise<Signer | undefined> {
    const dialog = need<HTMLDialogElement>(this.main, "#vouch");
    const form = need<HTMLFormElement>(dialog, "form");
    const password = need<HTMLInputElement>(form, "[name=password]");
    need(dialog, "#vouch-what").textContent = what;
    fail(form, "");
    const asked = new AbortController();
    return new Promise((resolve) => {
      const end = (signer?: Signer) => {
        asked.abort();
        password.value = "";
        dialog.close();
        resolve(signer);
      };
      const { signal } = asked;
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        void this.#attempt(form, async () => end(await this.app.unlock(record, password.value)));
      }, { signal });
      need(form, "[data-do=cancel]").addEventListener("click", () => end(), { signal });
      dialog.addEventListener("cancel", () => end(), { signal });
      this.ended.addEventListener("abort", () => end(), { signal });
      dialog.showModal();
      password.focus();
    });
  }

  /**
   * Adds a way to the account, and reports whether that was done. A session that a
   * passkey began may not: then the key signs in anew, after which the forms of this
   * page are those of a session that is over. What goes wrong is said on the page
   * that comes in its place.
   */
  async #adding(signer: Signer, form: string, work: () => Promise<void>): Promise<boolean> {
    const anew = "byPasskey" in need(this.main, "h1").dataset;
    if (anew) {
      const { signIn } = await this.app.curve();
      await signIn(this.app.api, signer);
    }
    try {
      await work();
      return true;
    } catch (error) {
      if (!anew) throw error;
      const reason = await this.app.reason(error);
      await this.#again();
      const place = need(document, form);
      const around = place.closest("details");
      if (around) around.open = true;
      fail(place, reason);
      return false;
    }
  }

  /** Runs what needs an identity's key, asking for the password where it is locked. */
  #signed(form: HTMLFormElement, work: (signer: Signer) => Promise<void>): void {
    const bapId = form.dataset["bapId"] ?? "";
    const record = this.records.find((r) => r.bapId === bapId);
    const unlock = need(form, "[data-part=unlock]");
    const ask = () => {
      unlock.hidden = !record || !!this.app.signer(bapId);
      need<HTMLInputElement>(unlock, "input").required = !unlock.hidden;
    };
    ask();
    document.addEventListener(locked, ask, { signal: this.ended });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#attempt(form, async () => {
        const password = need<HTMLInputElement>(unlock, "input");
        if (!this.app.holds(bapId) && !record) return awaiting(form, say("confirm-in-wallet"), () => this.#withWallet(form, bapId, work));
        const signer = this.app.signer(bapId) ?? (record && (await this.app.unlock(record, password.value)));
        password.value = "";
        if (signer) await work(signer);
      }).then(ask);
    });
  }

  async #withWallet(form: HTMLFormElement, bapId: string, work: (signer: Signer) => Promise<void>): Promise<void> {
    const signer = await this.app.wallet();
    if (signer?.bapId !== bapId) return fail(form, say("no-key"));
    await work(signer);
  }

  #attempt(place: HTMLElement, work: () => Promise<void>): Promise<void> {
    return busy(place, async () => {
      fail(place, "");
      try {
        await work();
      } catch (error) {
        fail(place, await this.app.reason(error));
      }
    });
  }

  #again(): Promise<void> {
    return go({ method: "GET", address: "/account" }, "stay");
  }

  /** Calls the keys of this browser what the profiles call them, which may have been changed elsewhere. */
  async renewNames(): Promise<void> {
    for (const record of this.records) {
      const field = this.main.querySelector<HTMLInputElement>(`form[data-do=profile][data-bap-id="${record.bapId}"] [name=name]`);
      if (!field?.defaultValue || field.defaultValue === record.name) continue;
      record.name = field.defaultValue;
      await this.app.rename(record.bapId, record.name);
    }
  }

  mountProfiles(): void {
    for (const form of this.main.querySelectorAll<HTMLFormElement>("form[data-do=profile]")) {
      const bapId = form.dataset["bapId"] ?? "";
      if (!this.records.some((r) => r.bapId === bapId) && !this.app.signer(bapId) && !("CWI" in window)) continue;
      (form.parentElement as HTMLElement).hidden = false;
      this.#signed(form, async (signer) => {
        const { setProfile } = await this.app.curve();
        const data = new FormData(form);
        const text = (name: string) => String(data.get(name) ?? "").trim();
        if (text("picture") && !picture.test(text("picture"))) return fail(form, say("bad-picture"));
        const set = await setProfile(this.app.api, signer, {
          name: text("name"), given_name: text("given_name"), family_name: text("family_name"),
          picture: text("picture"), description: text("description"),
        });
        await this.app.rename(bapId, set.name ?? "");
        await this.#again();
      });
    }
  }

  mountPasskeys(): void {
    const form = this.main.querySelector<HTMLFormElement>("form[data-do=add-passkey]");
    if (!form) return; // this server can have none
    form.hidden = !passkeysThere();
    this.#signed(form, async (signer) => {
      const { addPasskey } = await this.app.curve();
      const name = need<HTMLInputElement>(form, "[name=name]").value;
      const added = await this.#adding(signer, "form[data-do=add-passkey]", async () =>
        addPasskey(this.app.api, signer, { ...(await makePasskey()), name }));
      if (added) await this.#again();
    });
  }

  /** Lists the keys of this browser. */
  mountKeys(): void {
    const list = need(this.main, "#browser-keys");
    const template = need<HTMLTemplateElement>(this.main, "#browser-key");
    list.hidden = this.records.length === 0;
    for (const record of this.records) {
      const item = need<HTMLElement>(template.content.cloneNode(true) as DocumentFragment, "li");
      need(item, "[data-part=name]").textContent = record.name;
      need(item, "[data-part=bap-id]").textContent = record.bapId;
      offer(need(item, "[data-do=download]"), record.bep, backupName(record.name, record.bapId));
      need(item, "[data-do=download]").addEventListener("click", () => void this.app.keystore.markSaved(record.bapId));
      const upload = need<HTMLButtonElement>(item, "[data-do=upload]");
      upload.hidden = !this.mine.has(record.bapId);
      upload.addEventListener("click", () => {
        void this.#attempt(item, async () => {
          const { iterations, saveBackup } = await this.app.curve();
          const kept = async () => (await this.app.keystore.get(record.bapId)) ?? record;
          const what = (name: string) => say("vouch-backup", { name });
          const signer =
            (await kept()).rounds === iterations
              ? await this.#voucher([record.bapId, ...this.mine.keys()], what)
              : await this.#unlockFor(record, what(this.mine.get(record.bapId) ?? record.name)); // which keeps it encrypted anew
          if (!signer) return;
          await saveBackup(this.app.api, signer, record.bapId, (await kept()).bep);
          await this.#again();
        });
      });
      need(item, "[data-do=forget]").addEventListener("click", () => {
        if (!confirm(say("forget", { name: record.name || record.bapId }))) return;
        void this.#attempt(item, async () => {
          await this.app.forget(record.bapId);
          await this.#again();
        });
      });
      list.append(item);
    }
  }

  /** Brings a backup that the server keeps into this browser; it stays encrypted. */
  mountBackups(): void {
    for (const button of this.main.querySelectorAll<HTMLButtonElement>("[data-do=fetch-backup]")) {
      const form = need<HTMLFormElement>(button.closest("li") as HTMLElement, "form[data-do=open-backup]");
      const bapId = button.dataset["bapId"] ?? "";
      if (this.records.some((r) => r.bapId === bapId)) continue;
      button.hidden = false;
      button.addEventListener("click", () => {
        form.hidden = false;
        need(form, "input").focus();
      });
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        void this.#attempt(form, async () => {
          const { loadBackup, readBackup, saveBackup, systemRandom, takeIdentity } = await this.app.curve();
          const password = need<HTMLInputElement>(form, "input").value;
          const text = await loadBackup(this.app.api, bapId);
          const backup = await readBackup(text, password, systemRandom);
          const { identity, record } = await takeIdentity({ backup, bapId }, password, systemRandom, new Date());
          const signer = (await this.app.vault()).hold(identity);
          await this.app.keep(record);
          this.app.lastWay = "browser";
          if (record.bep !== text.trim()) await saveBackup(this.app.api, signer, bapId, record.bep); // encrypted anew
          await this.#again();
        });
      });
    }
  }

  /** Adds an identity from a backup to this account. */
  mountLinking(): void {
    const place = need(this.main, "#link");
    place.hidden = false;
    mountImport(this.app, place, this.ended, async ({ identity, record }) => {
      try {
        if (!this.mine.has(identity.bapId) && !(await this.#link(identity, record.name))) return identity.forget();
      } catch (error) {
        identity.forget(); // it is of no account, so nothing is to be signed with it
        throw error;
      }
      (await this.app.vault()).hold(identity);
      await this.app.keep(record);
      await this.#again();
    });
  }

  /** Links an identity to this account, and reports whether that was done. */
  async #link(identity: Signer, name: string): Promise<boolean> {
    const added = name || identity.bapId;
    const voucher = await this.#voucher([...this.mine.keys()], (by) => say("vouch-link", { name: by, added }));
    if (!voucher) return false;
    const { linkIdentity } = await this.app.curve();
    return this.#adding(voucher, "#link form[data-do=import]", async () => {
      await linkIdentity(this.app.api, identity, name, voucher);
    });
  }

  /** Takes identities out, which another signs, and backups, which any signs. */
  mountTakingOut(): void {
    const all = [...this.mine.keys()];
    this.#takingOut("take-out", (bapId) => all.filter((id) => id !== bapId), (name) => ({
      question: say("take-out", { name }),
      signs: (by) => say("vouch-remove", { name: by, removed: name }),
    }), async (signer, bapId) => (await this.app.curve()).removeIdentity(this.app.api, signer, bapId));
    this.#takingOut("remove-backup", (bapId) => [bapId, ...all], (name) => ({
      question: say("remove-backup", { name }),
      signs: (by) => say("vouch-remove-backup", { name: by }),
    }), async (signer, bapId) => (await this.app.curve()).removeBackup(this.app.api, signer, bapId));
  }

  #takingOut(
    does: string,
    signers: (bapId: string) => string[],
    words: (name: string) => { question: string; signs: (by: string) => string },
    work: (signer: Signer, bapId: string) => Promise<void>,
  ): void {
    for (const button of this.main.querySelectorAll<HTMLButtonElement>(`[data-do=${does}]`)) {
      const { bapId = "", name = this.mine.get(bapId) ?? bapId } = button.dataset;
      const { question, signs } = words(name);
      button.hidden = signers(bapId).length === 0;
      button.addEventListener("click", () => {
        if (!confirm(question)) return;
        void this.#attempt(button.parentElement as HTMLElement, async () => {
          const signer = await this.#voucher(signers(bapId), signs);
          if (!signer) return;
          await work(signer, bapId);
          await this.#again();
        });
      });
    }
  }
}
