// Bringing an identity into this browser from a backup: the form is the same on
// the sign-in screen and in the account.

import { systemRandom } from "../crypto/bytes";
import type { Backup, Enrolled } from "../curve";
import { leastLength } from "../strength";
import { type App, locked } from "./app";
import { busy, fail, need, say } from "./dom";

/**
 * Mounts the forms for a backup until the screen ends; taken is called with the
 * identity that was chosen, whose key is its own from then on. What was read is
 * dropped as an unlocked key is: after ten minutes, with a lock, with the page.
 */
export function mountImport(app: App, root: HTMLElement, ended: AbortSignal, taken: (enrolled: Enrolled) => Promise<void>): void {
  const form = need<HTMLFormElement>(root, "form[data-do=import]");
  const choose = need<HTMLFormElement>(root, "form[data-do=choose]");
  let read: { backup: Backup } | undefined;
  let callOff: () => void = () => undefined;

  const letGo = () => {
    callOff();
    read?.backup.forgetAllBut();
    read = undefined;
    need(choose, "[data-part=choices]").replaceChildren();
    choose.hidden = true;
    form.hidden = false;
  };
  const drop = () => {
    letGo();
    form.reset();
  };
  addEventListener("pagehide", drop, { signal: ended });
  document.addEventListener(locked, drop, { signal: ended });
  ended.addEventListener("abort", drop);

  const take = async (bapId: string) => {
    if (!read) return;
    const { takeIdentity } = await app.curve();
    const password = need<HTMLInputElement>(form, "[name=password]").value;
    const enrolled = await takeIdentity({ ...read, bapId }, password, systemRandom, new Date());
    read = undefined; // the others are forgotten, and this one is not ours any more
    letGo(); // where that fails, the backup can be read again
    await taken(enrolled);
    form.reset();
  };

  const attempt = (work: () => Promise<void>) =>
    busy(form, async () => {
      fail(form, "");
      try {
        await work();
      } catch (error) {
        fail(form, await app.reason(error));
      }
    });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(async () => {
      const { idleMilliseconds, needsPassword, readBackup, systemClock } = await app.curve();
      const file = need<HTMLInputElement>(form, "[name=file]").files?.[0];
      const text = file ? await file.text() : need<HTMLTextAreaElement>(form, "[name=text]").value;
      const password = need<HTMLInputElement>(form, "[name=password]").value;
      if (!needsPassword(text) && password.length < leastLength) return fail(form, say("too-short"));
      letGo();
      const backup = await readBackup(text, password, systemRandom);
      if (ended.aborted) return backup.forgetAllBut();
      read = { backup };
      callOff = systemClock.after(idleMilliseconds, drop);
      const [only, another] = backup.identities;
      if (!only) return fail(form, say("no-identity"));
      if (!another) return take(only.bapId);
      offerChoice(choose, backup);
      form.hidden = true;
    });
  });
  choose.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = new FormData(choose).get("identity");
    if (typeof chosen === "string") void attempt(() => take(chosen));
  });
}

/** Lists the identities of a master. */
function offerChoice(choose: HTMLFormElement, backup: Backup): void {
  const place = need(choose, "[data-part=choices]");
  place.replaceChildren(
    ...backup.identities.map((identity, n) => {
      const label = document.createElement("label");
      label.className = "who";
      const radio = document.createElement("input");
      Object.assign(radio, { type: "radio", name: "identity", value: identity.bapId, checked: n === 0, required: true });
      const name = document.createElement("bdi");
      name.textContent = identity.name;
      const id = document.createElement("code");
      id.dir = "ltr";
      id.textContent = identity.bapId;
      const text = document.createElement("span");
      text.append(name, " ", id);
      label.append(radio, " ", text);
      return label;
    }),
  );
  choose.hidden = false;
  need(choose, "input").focus();
}
