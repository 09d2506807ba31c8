// While somebody tries many wrong codes at the server, it looks a code up only for
// those who sign for it (attack B-02). The proof goes with the form.

import type { Signer } from "../crypto/signer";
import type { App } from "./app";

/** Puts a proof into a form that has a place for one. */
export async function prove(app: App, form: HTMLFormElement, signer: Signer): Promise<void> {
  const field = form.querySelector<HTMLInputElement>("input[name=proof]");
  const code = document.querySelector("#user-code")?.textContent ?? form.querySelector<HTMLInputElement>("input[name=code]")?.value;
  if (!field || !code) return;
  const { authToken } = await app.identity();
  field.value = await authToken(signer, "/device", `code=${code}`, app.api.now());
}
