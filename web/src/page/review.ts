// The review: the owner decides. With the identity's key at hand the approval is
// signed here, over exactly what the page shows; without it the form goes to the
// server as it is.

import type { Signer } from "../crypto/signer";
import type { KeyRecord } from "../keystore";
import { type App, locked } from "./app";
import { arranged, awaiting, busy, fail, need, say, showExpired } from "./dom";
import { follow, over } from "./follow";
import { go, submit } from "./soft";
import { clock } from "./times";

/** How long the page must have been seen before Approve can be pressed (attack B-05). */
const armAfterMilliseconds = 1000;
/** From when on the time that is left is shown, in seconds. */
const countdownFrom = 120;

/** Mounts the review; returns what ends it. */
export function mountReview(app: App, main: HTMLElement): () => void {
  const review = new Review(app, main);
  const end = () => ends.forEach((e) => e());
  const ends = [
    review.arm(),
    review.countDown(end),
    review.watchLock(),
    follow(
      review.code,
      (status) => {
        if (status === over) return; // the countdown says so
        void go({ method: "GET", address: location.href }, "stay").catch(() => undefined);
      },
      () => review.form.ariaBusy === "true",
    ),
  ];
  void review.mount();
  return end;
}

class Review {
  readonly form: HTMLFormElement;
  readonly approve: HTMLButtonElement;
  readonly code: string;
  #records: KeyRecord[] = [];
  #armed = false;
  #named: HTMLElement | undefined;
  /** The wallet is not that of the chosen identity. */
  #otherWallet = false;
  #asked = 0;

  constructor(
    readonly app: App,
    readonly main: HTMLElement,
  ) {
    this.form = need(main, "#decision");
    this.approve = need(this.form, "#approve");
    this.code = this.form.dataset["code"] ?? "";
  }

  async mount(): Promise<void> {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter !== this.approve) return void busy(this.form, () => submit(this.form, event.submitter)); // no key is needed
      if (this.#armed && this.#mayApprove()) void busy(this.form, () => this.#decide());
    });
    this.form.addEventListener("change", () => this.#choose());
    const shown = need<HTMLDetailsElement>(this.form, "#signed");
    shown.addEventListener("toggle", () => void this.#showStatement(shown));
    this.#records = await this.app.records();
    for (const label of this.form.querySelectorAll<HTMLElement>("#identities label")) {
      const { value } = need<HTMLInputElement>(label, "input");
      if (this.#record(value) || this.app.signer(value)) label.hidden = false;
    }
    this.#choose();
    arranged(this.main);
  }

  get #chosen(): string {
    return this.form.querySelector<HTMLInputElement>("[name=identity]:checked")?.value ?? "";
  }

  #record(bapId: string): KeyRecord | undefined {
    return this.#records.find((r) => r.bapId === bapId);
  }

  /** A session approves for its own identity only, and not where a signature is asked for. */
  get #bySession(): boolean {
    return this.#chosen === this.form.dataset["bapId"] && !("signedOnly" in this.form.dataset);
  }

  /** The chosen identity, where its password is asked for. Who came with a passkey is spared that if it will do. */
  get #locked(): KeyRecord | undefined {
    if (this.app.signer(this.#chosen) || (this.#bySession && this.app.lastWay === "passkey")) return undefined;
    return this.#record(this.#chosen);
  }

  get #canSign(): boolean {
    return !!this.app.signer(this.#chosen) || !!this.#locked || this.#byWallet;
  }

  get #byWallet(): boolean {
    return !this.app.holds(this.#chosen) && !this.#locked && this.app.lastWay === "wallet" && "CWI" in window && !this.#otherWallet;
  }

  #mayApprove(): boolean {
    return this.#canSign || this.#bySession;
  }

  /** Says how the chosen identity will approve, and asks for a password where one is needed. */
  #choose(): void {
    this.#nameInHeading();
    const locked = this.#locked;
    const how = need(this.form, "[data-part=how]");
    how.dataset["session"] ??= how.textContent ?? "";
    const name = this.#nameOf(this.#chosen) || this.#chosen;
    if (this.app.holds(this.#chosen)) how.textContent = say("signs", { name });
    else if (locked) how.textContent = say("locked", { name });
    else how.textContent = this.#canSign ? say("signs-wallet") : how.dataset["session"];
    const unlock = need(this.form, "#unlock");
    unlock.hidden = !locked;
    need<HTMLInputElement>(unlock, "input").required = !unlock.hidden;
    need(this.form, "#signed").hidden = !this.#canSign;
    const command = this.form.querySelector<HTMLElement>("[data-part=command]");
    if (command) command.hidden = this.#canSign;
    need(this.form, "[data-part=match]").hidden = !this.#mayApprove(); // nothing is asked in vain
    this.approve.disabled = !this.#armed || !this.#mayApprove();
    need<HTMLDetailsElement>(this.form, "#signed").open = false;
  }

  /** The heading says who the client wants to act as: whoever is chosen. */
  #nameInHeading(): void {
    const names = [...this.main.querySelectorAll<HTMLElement>("h1 bdi")];
    const session = this.#nameOf(this.form.dataset["bapId"] ?? "");
    this.#named ??= names.filter((name) => name.textContent === session).at(-1);
    if (this.#named) this.#named.textContent = this.#nameOf(this.#chosen);
  }

  /** What the page calls an identity. */
  #nameOf(bapId: string): string {
    return this.form.querySelector(`[name=identity][value="${bapId}"]`)?.closest("label")?.querySelector("bdi")?.textContent ?? "";
  }

  /** Approve can be pressed once the page has been seen, unframed, for a second. */
  arm(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const seen = () => document.visibilityState === "visible" && window.top === window;
    const begin = () => {
      clearTimeout(timer);
      if (this.#armed || !seen()) return;
      timer = setTimeout(() => {
        this.#armed = seen();
        this.approve.disabled = !this.#armed || !this.#mayApprove();
      }, armAfterMilliseconds);
    };
    this.approve.disabled = true;
    document.addEventListener("visibilitychange", begin);
    begin();
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", begin);
    };
  }

  /** Shows the time left in the last minutes, and at the end that it is over. */
  countDown(end: () => void): () => void {
    const until = Date.now() + Number(this.form.dataset["left"]) * 1000;
    const place = need(this.form, "#countdown");
    const tick = () => {
      const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
      place.hidden = left > countdownFrom;
      place.textContent = say("minutes-left", { time: clock(left) });
      if (left > 0) return;
      end();
      showExpired(this.main);
    };
    const timer = setInterval(tick, 1000);
    return () => clearInterval(timer);
  }

  /** A key that was dropped has to be unlocked again. */
  watchLock(): () => void {
    const choose = () => this.#choose();
    document.addEventListener(locked, choose);
    return () => document.removeEventListener(locked, choose);
  }

  /** The scopes that are left, as a scope is written. */
  get #scope(): string {
    return new FormData(this.form).getAll("scope").join(" ");
  }

  async #signer(): Promise<Signer | undefined> {
    const signer = this.app.signer(this.#chosen);
    if (signer) return signer;
    const record = this.#locked;
    if (record) {
      const password = need<HTMLInputElement>(this.form, "#sign-password");
      const unlocked = await this.app.unlock(record, password.value);
      password.value = "";
      return unlocked;
    }
    const wallet = this.#byWallet ? await this.app.wallet() : undefined;
    return wallet?.bapId === this.#chosen ? wallet : undefined;
  }

  async #decide(): Promise<void> {
    fail(this.form, "");
    if (!this.#scope) return fail(this.form, say("nothing-chosen"));
    try {
      if (!this.#canSign && this.#bySession) return await submit(this.form, this.approve);
      if (this.#byWallet) return await awaiting(this.form, say("confirm-in-wallet"), () => this.#sign());
      await this.#sign();
    } catch (error) {
      await this.#explain(error);
    }
  }

  async #sign(): Promise<void> {
    const signer = await this.#signer();
    if (!signer) {
      this.#otherWallet = true;
      this.#choose();
      return fail(this.form, say("no-key")); // not the session instead: the page said that a key signs
    }
    const { approve, fetchApproval, resourcesOf } = await this.app.curve();
    const facts = await fetchApproval(this.app.api, signer, this.code, this.#scope);
    this.#checkShown(facts.user_code, facts.client.client_id, facts.scopes.map((s) => s.scope), resourcesOf(facts));
    const match = new FormData(this.form).get("match");
    const grant = await approve(this.app.api, signer, facts, typeof match === "string" ? match : "");
    await this.#showOutcome(signer, `/device/done/${encodeURIComponent(grant)}`);
  }

  /** A signed approval needs no session, but its page does: it may have ended meanwhile. */
  async #showOutcome(signer: Signer, address: string): Promise<void> {
    const { signIn } = await this.app.curve();
    if (!(await signedIn())) await signIn(this.app.api, signer);
    await go({ method: "GET", address });
  }

  /** Nothing is signed that differs from what was read on the page. */
  #checkShown(code: string, clientId: string, scopes: string[], resources: string[]): void {
    const ticked = this.#scope.split(" ").sort().join(" ");
    const shown = code === this.code && clientId === need(this.main, "[data-part=client-id]").textContent;
    const named = [...this.form.querySelectorAll<HTMLElement>("[data-resource]")].map((e) => e.dataset["resource"]);
    if (!shown || [...scopes].sort().join(" ") !== ticked || resources.join(" ") !== named.join(" ")) {
      throw new ChangedError("the request is not what the page shows");
    }
  }

  async #explain(error: unknown): Promise<void> {
    const known = await this.app.curve().catch(() => undefined);
    if (known && error instanceof known.ApiError && error.error === "match_mistyped") return fail(this.form, say("mistyped"));
    const decided = known && error instanceof known.ApiError && error.status !== 0 && error.status !== 429;
    const changed = error instanceof ChangedError || (known && error instanceof known.StatementError);
    if (decided || changed) {
      // Decided elsewhere, expired, a wrong number, signed out: the server's page says which.
      await go({ method: "GET", address: location.href }, "stay").catch(() => undefined);
    }
    const form = document.querySelector("#decision");
    if (form) fail(form, changed ? say("changed") : await this.app.reason(error));
    if (form === this.form) this.#choose();
  }

  /** Shows the statement as the server gives it for what is chosen and ticked now. */
  async #showStatement(shown: HTMLDetailsElement): Promise<void> {
    if (!shown.open) return;
    const place = need(shown, "code");
    const mine = ++this.#asked;
    place.textContent = "";
    const text = await this.#statementText().catch((error: unknown) => this.app.reason(error));
    if (mine === this.#asked) place.textContent = text;
  }

  async #statementText(): Promise<string> {
    const statement = await this.#statement();
    return statement ? JSON.stringify(JSON.parse(statement), null, 2) : (need(this.form, "[data-part=how]").textContent ?? "");
  }

  /** The session is told its own identity's statement only; another has to be unlocked to ask for its own. */
  async #statement(): Promise<string | undefined> {
    const signer = this.app.signer(this.#chosen);
    if (signer) {
      const { fetchApproval } = await this.app.curve();
      return (await fetchApproval(this.app.api, signer, this.code, this.#scope)).statement;
    }
    if (this.#chosen !== this.form.dataset["bapId"]) return undefined;
    const query = new URLSearchParams({ user_code: this.code, scope: this.#scope });
    const answer = await fetch(`/api/auth/device/approval?${query}`, { cache: "no-store" });
    return ((await answer.json()) as { statement?: string }).statement;
  }
}

/** What the server would have signed differs from the page. */
class ChangedError extends Error {}

async function signedIn(): Promise<boolean> {
  const answer = await fetch("/api/auth/get-session", { cache: "no-store" });
  return answer.ok && (await answer.json()) !== null;
}
