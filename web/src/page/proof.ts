// While somebody tries many wrong codes at the server, it looks a code up only for
// those who sign for it (attack B-02). The proof goes with the form.

import type { Signer } from "../crypto/signer";
import type { App } from "./app";
import { groupCode } from "./enter";
import { submit } from "./soft";

/** Lets the forms for a code carry a proof while a key is unlocked. */
export function mountProofs(app: App, main: HTMLElement): void {
  for (const form of main.querySelectorAll<HTMLFormElement>("form:not(#go-on):has(input[name=proof])")) {
    form.addEventListener("submit", (event) => {
      const signer = app.anySigner();
      if (!signer) return;
      event.preventDefault();
      void prove(app, form, signer).catch(() => undefined).then(() => submit(form)); // locked in this moment: without
    });
  }
}

/** Puts a proof into a form that has a place for one. */
export async function prove(app: App, form: HTMLFormElement, signer: Signer): Promise<void> {
  const field = form.querySelector<HTMLInputElement>("input[name=proof]");
  const typed = form.querySelector<HTMLInputElement>("input[name=code]")?.value;
  const code = typed === undefined ? document.querySelector("#user-code")?.textContent : groupCode(typed);
  if (!field || !code) return;
  const { authToken } = await app.curve();
  field.value = await authToken(signer, "/device", `aud=${app.api.issuer}&code=${code}`, app.api.now());
}
