// The sign-in screen: the ways to prove an identity. The server sees a signature,
// never a key or a password.

import { systemRandom } from "../crypto/bytes";
import type { Signer } from "../crypto/signer";
import type { Enrolled } from "../curve";
import type { KeyRecord } from "../keystore";
import { strength } from "../strength";
import type { App, Way } from "./app";
import { awaiting, backupName, begin, busy, fail, need, offer, say, showExpired } from "./dom";
import { mountImport } from "./enrolling";
import { follow, over } from "./follow";
import { passkeysThere, signInWithPasskey } from "./passkey";
import { prove } from "./proof";
import { go, submit } from "./soft";

/** Mounts the sign-in screen; returns what ends it. */
export function mountSignIn(app: App, main: HTMLElement): () => void {
  const ending = new AbortController();
  const screen = new SignIn(app, main, ending.signal);
  void screen.mount();
  const stop = screen.followCommand();
  return () => {
    stop();
    ending.abort();
  };
}

class SignIn {
  /** Whether the ways are in their places; until then the page stands as it came. */
  #arranged = false;
  /**
   * Whether the browser keeps a session: the server has not seen otherwise, the browser
   * says so, and no sign-in of just now led back here.
   */
  readonly #cookies: boolean;

  constructor(
    readonly app: App,
    readonly main: HTMLElement,
    readonly ended: AbortSignal,
  ) {
    this.#cookies = need(main, "#no-cookies").hidden === true && app.keepsCookies() && !app.goingOn;
  }

  async mount(): Promise<void> {
    const records = await this.app.records();
    if (this.ended.aborted) return;
    this.#unlock(records);
    this.#create();
    const way = need(this.main, "[data-way=import]");
    mountImport(this.app, way, this.ended, async ({ identity, record }) => {
      (await this.app.vault()).hold(identity);
      await this.app.keep(record); // where nothing is kept, the key is in memory and the backup with its owner
      await this.#enter("browser", identity, record.name);
    });
    this.#button("wallet", () =>
      awaiting(this.#form("wallet"), say("confirm-in-wallet"), async () => {
        const signer = await this.app.wallet();
        if (signer) await this.#enter("wallet", signer);
      }),
    );
    const passkeys = passkeysThere() && !!this.#way("passkey");
    if (passkeys) this.#button("passkey", async () => {
      await signInWithPasskey();
      this.app.lastWay = "passkey";
      await this.#goOn();
    });
    const signIn = this.#cookies;
    need(this.main, "#no-cookies").hidden = signIn;
    this.#open({
      browser: signIn && records.length > 0, new: signIn, import: signIn,
      wallet: signIn && "CWI" in window, passkey: signIn && passkeys, command: true,
    });
    if (!(await this.app.keeps())) fail(this.#form("new"), say("no-storage")); // before there is something to lose
    // Who begins to type will need the curve: it comes meanwhile.
    need(this.main, "#ways").addEventListener("input", () => void this.app.curve().catch(() => undefined), { once: true });
    // Wallets put themselves into the page when they are ready.
    if (signIn && document.readyState !== "complete") addEventListener("load", () => this.#show("wallet", "CWI" in window), { once: true, signal: this.ended });
  }

  /**
   * Follows along once the command line is chosen. Not before: a code that is
   * wrong counts against whoever asks for it, and a link may bring one.
   */
  followCommand(): () => void {
    const way = this.#way("command");
    const code = this.main.querySelector("#user-code")?.textContent;
    let stop: () => void = () => undefined;
    way?.addEventListener("toggle", () => {
      stop();
      stop = way.open && code && this.#arranged ? follow(code, (status) => this.decidedElsewhere(status)) : () => undefined;
    });
    return () => stop();
  }

  /** Nothing is left to sign in for: the page says so, and offers nothing. */
  decidedElsewhere(status: string): void {
    if (status === over) return showExpired(this.main);
    const outcome = need(this.main, "h1");
    outcome.textContent = say(status === "approved" ? "approved-elsewhere" : "denied-elsewhere");
    this.main.replaceChildren(outcome, need(this.main, "#user-code"));
    this.main.dataset["screen"] = "decided";
    begin(this.main);
  }

  /** Shows the ways that are there, the one used last on top and open. */
  #open(there: Record<Way, boolean>): void {
    const last = this.app.lastWay;
    const first = last && there[last] ? last : there.browser ? "browser" : there.wallet ? "wallet" : there.new ? "new" : "command";
    for (const way of Object.keys(there) as Way[]) this.#show(way, there[way]);
    const command = this.#way("command");
    if (command) need(command, "[data-part=following]").hidden = false;
    for (const way of this.main.querySelectorAll<HTMLDetailsElement>("details.way")) way.open = false;
    need(this.main, "#ways").dataset["ready"] = "";
    this.#arranged = true;
    const opened = this.#way(first);
    if (!opened) return;
    opened.parentElement?.prepend(opened);
    opened.open = true;
    if (first === "browser") need(opened, "[name=password]").focus();
  }

  #way(way: Way): HTMLDetailsElement | null {
    return this.main.querySelector(`[data-way=${way}]`);
  }

  #show(way: Way, there: boolean): void {
    const found = this.#way(way);
    if (found) found.hidden = !there;
  }

  /** Runs what a form does, and says what went wrong. */
  #attempt(form: HTMLElement, work: () => Promise<void>): Promise<void> {
    return busy(form, async () => {
      fail(form, "");
      try {
        await work();
      } catch (error) {
        fail(form, await this.app.reason(error));
      }
    });
  }

  #form(way: Way): HTMLFormElement {
    return need(this.main, `[data-way=${way}] form`);
  }

  #button(way: Way, work: () => Promise<void>): void {
    const form = this.#form(way);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#attempt(form, work);
    });
  }

  #unlock(records: KeyRecord[]): void {
    const form = this.#form("browser");
    const select = need<HTMLSelectElement>(form, "select");
    select.replaceChildren(...records.map((r) => new Option(r.name || r.bapId, r.bapId)));
    // What an application hopes for is chosen, if it is here, and nobody is told if it is not.
    const hint = need(this.main, "#ways").dataset["hint"];
    if (records.some((r) => r.bapId === hint)) select.value = hint ?? "";
    const only = records.length === 1 ? records[0] : undefined;
    need(form, "[data-part=which]").hidden = !!only;
    const who = need(form, "[data-part=who]");
    who.hidden = !only;
    who.textContent = only ? only.name || only.bapId : "";
    const chosen = () => records.find((r) => r.bapId === select.value);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const record = chosen();
      if (!record) return;
      const password = need<HTMLInputElement>(form, "[name=password]");
      void this.#attempt(form, async () => {
        const signer = await this.app.unlock(record, password.value);
        password.value = "";
        await this.#enter("browser", signer);
      });
    });
    need(form, "[data-do=forget]").addEventListener("click", () => {
      const record = chosen();
      if (!record || !confirm(say("forget", { name: record.name || record.bapId }))) return;
      void this.#attempt(form, async () => {
        await this.app.forget(record.bapId);
        await this.#again();
      });
    });
  }

  /** Shows this screen anew, for the same code. */
  #again(): Promise<void> {
    return go({ method: "GET", address: location.href }, "stay");
  }

  #create(): void {
    const form = this.#form("new");
    const name = need<HTMLInputElement>(form, "[name=name]");
    const password = need<HTMLInputElement>(form, "[name=password]");
    const worth = need(form, ".strength");
    const reveal = need<HTMLButtonElement>(form, "[data-do=reveal]");
    const label = reveal.textContent;
    const show = (shown: boolean) => {
      password.type = shown ? "text" : "password";
      reveal.textContent = (shown ? reveal.dataset["hide"] : label) ?? null;
    };
    const judge = () => {
      worth.textContent = password.value ? say(strength(password.value, [name.value])) : "";
    };
    password.addEventListener("input", judge);
    reveal.addEventListener("click", () => show(password.type === "password"));
    need(form, "[data-do=suggest]").addEventListener("click", () => {
      void this.#attempt(form, async () => {
        const { drawPassphrase } = await import("../passphrase");
        password.value = await drawPassphrase(systemRandom);
        show(true);
        judge();
      });
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#attempt(form, async () => {
        if (strength(password.value) === "short") return fail(form, say("too-short"));
        const { createIdentity } = await this.app.curve();
        const made = await createIdentity(name.value.trim(), password.value, systemRandom, new Date());
        (await this.app.vault()).hold(made.identity);
        password.value = "";
        show(false);
        await this.#keep(made);
      });
    });
  }

  /**
   * Nobody goes on before the backup is saved or the loss accepted. The identity
   * is kept from then on: one that a reload takes away here was never used.
   */
  async #keep({ identity, record }: Enrolled): Promise<void> {
    const step = need(this.main, "#save");
    const save = need<HTMLAnchorElement>(step, "[data-do=save]");
    offer(save, record.bep, backupName(record.name, record.bapId));
    need(this.main, "#ways").hidden = true;
    step.hidden = false;
    need(step, "h2").focus();
    const goOn = (saved: boolean) =>
      this.#attempt(step, async () => {
        const { LockedError, setProfile } = await this.app.curve();
        const kept = await this.app.keep({ ...record, saved });
        if (!kept && !saved) return fail(step, say("no-storage")); // it would be gone with this page
        try {
          await this.#signIn(identity);
          await setProfile(this.app.api, identity, { name: record.name });
          this.app.lastWay = "browser";
          await this.#goOn(identity);
        } catch (error) {
          if (!(error instanceof LockedError)) throw error;
          await this.#unlockAgain(kept ? "browser" : "import");
        }
      });
    save.addEventListener("click", () => setTimeout(() => void goOn(true))); // the download begins first
    need(step, "[data-do=accept-loss]").addEventListener("click", () => void goOn(false));
  }

  /** Whoever took ten minutes over the backup begins again, with the password. */
  async #unlockAgain(way: Way): Promise<void> {
    this.app.lastWay = way;
    await this.#again();
    const form = document.querySelector(`[data-way=${way}] form`);
    if (form) fail(form, say("was-locked"));
  }

  async #signIn(signer: Signer): Promise<void> {
    const { signIn } = await this.app.curve();
    await signIn(this.app.api, signer);
  }

  /** Signs in; a name is given to an identity that has none at the server yet, and taken from there else. */
  async #enter(way: Way, signer: Signer, name = ""): Promise<void> {
    await this.#signIn(signer);
    if (name) await this.#giveName(signer, name);
    this.app.lastWay = way;
    await this.#goOn(way === "wallet" ? undefined : signer); // a wallet is not asked for one signature more
  }

  async #giveName(signer: Signer, name: string): Promise<void> {
    const { profileOf, setProfile } = await this.app.curve();
    const known = (await profileOf(this.app.api, signer)).name;
    if (known) await this.app.rename(signer.bapId, known);
    else await setProfile(this.app.api, signer, { name });
  }

  async #goOn(signer?: Signer): Promise<void> {
    const form = need<HTMLFormElement>(this.main, "#go-on");
    if (signer) await prove(this.app, form, signer);
    this.app.goingOn = true;
    await submit(form).finally(() => (this.app.goingOn = false));
  }
}
