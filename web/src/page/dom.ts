// The few things that every screen does with its document. No markup is made
// here from text (attack B-08): the pages are the server's, and what is put in is text.

/** Finds an element that the page has; its absence is a mistake in the page. */
export function need<E extends Element = HTMLElement>(root: ParentNode, selector: string): E {
  const found = root.querySelector<E>(selector);
  if (!found) throw new Error(`the page lacks ${selector}`);
  return found;
}

let messages: Record<string, string> = {};

/** Reads the messages of the page's language. */
export function readMessages(page: Document): void {
  messages = JSON.parse(page.getElementById("messages")?.textContent ?? "{}") as Record<string, string>;
}

/** A message with texts put in, named in {braces}. */
export function say(key: string, values: Record<string, string> = {}): string {
  return (messages[key] ?? key).replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}

/** Shows or takes away the error of a form. A password that did not do can be typed anew at once. */
export function fail(form: Element, text: string): void {
  const place = need(form, ".error:not(#problem)");
  place.textContent = text;
  place.hidden = text === "";
  if (!text) return;
  const password = form.querySelector<HTMLInputElement>("input[type=password]");
  if (password?.value) {
    password.focus();
    password.select();
  }
  place.scrollIntoView({ block: "nearest" });
}

/** Says what the person has to do elsewhere, while it is awaited. */
export async function awaiting<T>(form: Element, text: string, work: () => Promise<T>): Promise<T> {
  const place = need(form, "[data-part=waiting]");
  place.textContent = text;
  place.hidden = false;
  try {
    return await work();
  } finally {
    place.hidden = true;
  }
}

/**
 * Begins a screen that took another's place: at the top of the page, and a screen
 * reader with it. The focus alone would scroll what stands above the screen away.
 */
export function begin(main: HTMLElement): void {
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

/** Shows a screen that has been arranged. While it was hidden it could not have the focus. */
export function arranged(main: HTMLElement): void {
  main.dataset["ready"] = "";
  if ("placed" in main.dataset && document.activeElement === document.body) main.focus({ preventScroll: true });
}

/** Puts what the page says of a code that is over in place of the screen. */
export function showExpired(main: HTMLElement): void {
  const over = need<HTMLTemplateElement>(main, "#expired");
  main.replaceChildren(over.content.cloneNode(true));
  main.dataset["screen"] = "expired";
  begin(main);
}

/**
 * Says that a form is at work, and keeps it from being sent twice. Its buttons stay
 * as they are: one that is disabled would not be among the data of its own form.
 */
export async function busy(form: HTMLElement, work: () => Promise<void>): Promise<void> {
  if (form.getAttribute("aria-busy") === "true") return;
  form.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    form.removeAttribute("aria-busy");
  }
}

/** Offers a text as a file. */
export function offer(link: HTMLAnchorElement, text: string, name: string): void {
  if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
}

/** A file name that every system takes, for the backup of an identity. */
export function backupName(name: string, bapId: string): string {
  const plain = name.normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  return `${plain || say("backup-name")}.${bapId}.bep`;
}
