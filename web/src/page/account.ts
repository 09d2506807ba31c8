// The owner's own page, where it needs a key: profiles and passkeys are signed for,
// and the keys in this browser are shown.

import type { Signer } from "../crypto/signer";
import type { KeyRecord } from "../keystore";
import { type App, locked } from "./app";
import { arranged, awaiting, backupName, busy, fail, need, offer, say } from "./dom";
import { mountImport } from "./enrolling";
import { makePasskey, passkeysThere } from "./passkey";
import { go } from "./soft";

/** Mounts the account page; returns what ends it. */
export function mountAccount(app: App, main: HTMLElement): () => void {
  const ending = new AbortController();
  void fill(app, main, ending.signal);
  return () => ending.abort();
}

async function fill(app: App, main: HTMLElement, ended: AbortSignal): Promise<void> {
  const account = new Account(app, main, await app.records(), ended);
  if (ended.aborted) return;
  account.mountProfiles();
  account.mountPasskeys();
  account.mountKeys();
  account.mountBackups();
  account.mountLinking();
  arranged(main);
}

class Account {
  constructor(
    readonly app: App,
    readonly main: HTMLElement,
    readonly records: KeyRecord[],
    readonly ended: AbortSignal,
  ) {}

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

  mountProfiles(): void {
    for (const form of this.main.querySelectorAll<HTMLFormElement>("form[data-do=profile]")) {
      const bapId = form.dataset["bapId"] ?? "";
      if (!this.records.some((r) => r.bapId === bapId) && !this.app.signer(bapId) && !("CWI" in window)) continue;
      (form.parentElement as HTMLElement).hidden = false;
      this.#signed(form, async (signer) => {
        const { setProfile } = await this.app.identity();
        const data = new FormData(form);
        const text = (name: string) => String(data.get(name) ?? "").trim();
        await setProfile(this.app.api, signer, {
          name: text("name"), given_name: text("given_name"), family_name: text("family_name"),
          picture: text("picture"), description: text("description"),
        });
        await this.#again();
      });
    }
  }

  mountPasskeys(): void {
    const form = this.main.querySelector<HTMLFormElement>("form[data-do=add-passkey]");
    if (!form) return; // this server can have none
    form.hidden = !passkeysThere();
    this.#signed(form, async (signer) => {
      const { addPasskey } = await this.app.identity();
      const name = need<HTMLInputElement>(form, "[name=name]").value;
      await addPasskey(this.app.api, signer, { ...(await makePasskey()), name });
      await this.#again();
    });
  }

  /** Lists the keys of this browser. */
  mountKeys(): void {
    const list = need(this.main, "#browser-keys");
    const template = need<HTMLTemplateElement>(this.main, "#browser-key");
    const mine = new Set([...this.main.querySelectorAll<HTMLElement>("[data-identity]")].map((e) => e.dataset["identity"]));
    list.hidden = this.records.length === 0;
    for (const record of this.records) {
      const item = need<HTMLElement>(template.content.cloneNode(true) as DocumentFragment, "li");
      need(item, "[data-part=name]").textContent = record.name;
      need(item, "[data-part=bap-id]").textContent = record.bapId;
      offer(need(item, "[data-do=download]"), record.bep, backupName(record.name, record.bapId));
      need(item, "[data-do=download]").addEventListener("click", () => void this.app.keystore.markSaved(record.bapId));
      const upload = need<HTMLButtonElement>(item, "[data-do=upload]");
      upload.hidden = !mine.has(record.bapId);
      upload.addEventListener("click", () => {
        void this.#attempt(item, async () => {
          const { saveBackup } = await this.app.identity();
          await saveBackup(this.app.api, record.bapId, record.bep);
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
          const { loadBackup, readBackup, systemRandom, takeIdentity } = await this.app.identity();
          const password = need<HTMLInputElement>(form, "input").value;
          const text = await loadBackup(this.app.api, bapId);
          const backup = await readBackup(text, password, systemRandom);
          const { identity, record } = await takeIdentity({ text, backup, bapId }, password, systemRandom, new Date());
          (await this.app.vault()).hold(identity);
          await this.app.keep(record);
          this.app.lastWay = "browser";
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
      const { linkIdentity } = await this.app.identity();
      try {
        await linkIdentity(this.app.api, identity, record.name);
      } catch (error) {
        identity.forget(); // it is of no account, so nothing is to be signed with it
        throw error;
      }
      (await this.app.vault()).hold(identity);
      await this.app.keep(record);
      await this.#again();
    });
  }
}
