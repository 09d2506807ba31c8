// Going from page to page without leaving the document. An unlocked key lives in
// this document's memory only and is gone when the document is: so the forms and
// links of our own pages are followed here, and what comes back is put in place.
// Without this script they are ordinary forms and links.

import { begin, fail, readMessages, say } from "./dom";

interface Visit {
  method: "GET" | "POST";
  address: string;
  body?: URLSearchParams;
}

/** Called whenever a page has been put in place. */
type Mount = (main: HTMLElement) => void;

let mount: Mount = () => undefined;
/** Whether there is something that leaving the document would lose. */
let holding: () => boolean = () => false;
/** Visits are counted, so that an older answer replaces no newer page. */
let [begun, shown] = [0, 0];

/** Takes over the forms marked data-soft, our own links and the back button. */
export function startSoft(onMount: Mount, isHolding: () => boolean): void {
  mount = onMount;
  holding = isHolding;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !(form instanceof HTMLFormElement) || !form.hasAttribute("data-soft")) return;
    event.preventDefault();
    void submit(form, event.submitter);
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.hasAttribute("download") || link.target || link.origin !== location.origin || !isPage(link.pathname)) return;
    event.preventDefault();
    follow({ method: "GET", address: link.href }, "push", () => location.assign(link.href));
  });
  addEventListener("popstate", () => follow({ method: "GET", address: location.href }, "stay", () => location.reload()));
}

/** Goes to a page; where that fails the browser does, unless a key would be lost with this document. */
function follow(visit: Visit, history: "push" | "stay", otherwise: () => void): void {
  document.querySelector("main > .unsent")?.remove();
  go(visit, history).catch((error: unknown) => {
    const main = document.querySelector("main");
    if (!main || !holding()) return otherwise();
    main.prepend(unsent());
    fail(main, say(error instanceof TypeError ? "offline" : "failed"));
  });
}

/** Our own pages are HTML; what programs read is left to the browser. */
function isPage(path: string): boolean {
  return path === "/" || /^\/(device|account)(\/|$)/.test(path);
}

/** Sends a form as the browser would, and shows the answer. */
export async function submit(form: HTMLFormElement, submitter?: HTMLElement | null): Promise<void> {
  const data = new FormData(form);
  // By hand: FormData leaves a button out that is disabled, as it is while it is at work.
  const button = submitter instanceof HTMLButtonElement ? submitter : undefined;
  if (button?.name) data.append(button.name, button.value);
  const body = new URLSearchParams();
  for (const [name, value] of data) if (typeof value === "string") body.append(name, value);
  const address = button?.hasAttribute("formaction") ? button.formAction : form.action;
  form.querySelector(".error.unsent")?.remove();
  try {
    await go({ method: form.method === "post" ? "POST" : "GET", address, body });
  } catch (error) {
    const place = form.querySelector(".error:not(#problem)");
    if (!place && !holding()) {
      form.action = address;
      return form.submit(); // the browser says what is wrong
    }
    if (!place) form.append(unsent());
    fail(form, say(error instanceof TypeError ? "offline" : "failed"));
  }
}

/** Where a form that has no place for an error says that it was not sent. */
function unsent(): HTMLElement {
  const place = document.createElement("p");
  place.className = "error unsent";
  place.role = "alert";
  return place;
}

/** Fetches a page and puts it in place of this one. */
export async function go(visit: Visit, history: "push" | "stay" = "push"): Promise<void> {
  const mine = ++begun;
  const { page, address } = await fetchPage(visit);
  const main = page.querySelector("main");
  if (!main) throw new Error("the answer is no page of ours");
  if (mine < shown) return;
  shown = mine;
  document.title = page.title;
  document.documentElement.lang = page.documentElement.lang;
  document.documentElement.dir = page.documentElement.dir;
  readMessages(page);
  for (const part of ["#messages", "header", "main", "footer"]) {
    const [before, after] = [document.querySelector(part), page.querySelector(part)];
    if (before && after) before.replaceWith(document.adoptNode(after));
  }
  // A code's way from page to page is one entry, as it is one thing to go back to.
  const onward = [location.href, address].every((a) => new URL(a).pathname.startsWith("/device/request/"));
  if (history === "push" && address !== location.href && !onward) window.history.pushState(null, "", address);
  else window.history.replaceState(null, "", address);
  const here = document.querySelector("main");
  if (!here) return;
  here.dataset["placed"] = "";
  begin(here);
  try {
    mount(here);
  } catch (error) {
    reportError(error); // the page is there all the same
  }
}

/**
 * Asks for a page and lets the browser parse it: an XMLHttpRequest does that
 * without a script making markup from text, which Trusted Types forbid here, and
 * nothing in the answer runs.
 */
function fetchPage(visit: Visit): Promise<{ page: Document; address: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(visit.method, visit.address);
    request.responseType = "document";
    request.setRequestHeader("Accept", "text/html");
    request.onload = () => {
      if (request.responseXML) resolve({ page: request.responseXML, address: request.responseURL });
      else reject(new Error("no page"));
    };
    request.onerror = () => reject(new TypeError("not reached")); // as fetch says it
    request.send(visit.method === "POST" ? (visit.body ?? null) : null);
  });
}
