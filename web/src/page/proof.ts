// While somebody tries many wrong codes at the server, it looks a code up only for
// those who sign for it (attack B-02). The proof goes with the form.

import type { Signer } from "../crypto/signer";
import type { App } from "./app";
import { groupCode } from "./enter";

/** Puts a proof into a form that has a place for one, by whoever is unlocked here. */
export async function proveUnlocked(app: App, form: HTMLFormElement): Promise<void> {
  const signer = form.querySelector("input[name=proof]") && (await app.unlocked());
  // Who is locked again in this very moment goes without.
  if (signer) await prove(app, form, signer).catch(() => undefined);
}

/** Puts a proof into a form that has a place for one. The code in it is written as it is shown. */
export async function prove(app: App, form: HTMLFormElement, signer: Signer): Promise<void> {
  const field = form.querySelector<HTMLInputElement>("input[name=proof]");
  const shown = document.querySelector("#user-code")?.textContent;
  const code = shown ?? groupCode(form.querySelector<HTMLInputElement>("input[name=code]")?.value ?? "");
  if (!field || !code) return;
  const { authToken } = await app.identity();
  field.value = await authToken(signer, "/device", `code=${code}`, app.api.now());
}
