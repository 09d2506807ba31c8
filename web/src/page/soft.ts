// Going from page to page without leaving the document. An unlocked key lives in
// this document's memory only and is gone when the document is: so the forms and
// links of our own pages are followed here, and what comes back is put in place.
// Without this script they are ordinary forms and links.

import { fail, readMessages, say } from "./dom";

interface Visit {
  method: "GET" | "POST";
  address: string;
  body?: URLSearchParams;
}

/** Called whenever a page has been put in place. */
type Mount = (main: HTMLElement) => void;

let mount: Mount = () => undefined;

/** Takes over the forms marked data-soft, our own links and the back button. */
export function startSoft(onMount: Mount): void {
  mount = onMount;
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
    void go({ method: "GET", address: link.href });
  });
  addEventListener("popstate", () => void go({ method: "GET", address: location.href }, "stay"));
}

/** Our own pages are HTML; what programs read is left to the browser. */
function isPage(path: string): boolean {
  return path === "/" || /^\/(device|account)(\/|$)/.test(path);
}

/** Sends a form as the browser would, and shows the answer. */
export async function submit(form: HTMLFormElement, submitter?: HTMLElement | null): Promise<void> {
  const data = new FormData(form);
  // By hand: FormData leaves a button out that is disabled, as it is while it is at work.
  if (submitter instanceof HTMLButtonElement && submitter.name) data.append(submitter.name, submitter.value);
  const body = new URLSearchParams();
  for (const [name, value] of data) if (typeof value === "string") body.append(name, value);
  const visit: Visit = { method: form.method === "post" ? "POST" : "GET", address: form.action, body };
  try {
    await go(visit);
  } catch {
    const place = form.querySelector(".error");
    if (place) fail(form, say("offline"));
    else form.submit(); // the browser says what is wrong
  }
}

/** Fetches a page and puts it in place of this one. */
export async function go(visit: Visit, history: "push" | "stay" = "push"): Promise<void> {
  const { page, address } = await fetchPage(visit);
  const main = page.querySelector("main");
  if (!main) throw new Error("the answer is no page of ours");
  document.title = page.title;
  document.documentElement.lang = page.documentElement.lang;
  document.documentElement.dir = page.documentElement.dir;
  readMessages(page);
  for (const part of ["#messages", "header", "main", "footer"]) {
    const [before, after] = [document.querySelector(part), page.querySelector(part)];
    if (before && after) before.replaceWith(document.adoptNode(after));
  }
  if (history === "push" && address !== location.href) window.history.pushState(null, "", address);
  else window.history.replaceState(null, "", address);
  scrollTo(0, 0);
  const here = document.querySelector("main");
  if (here) {
    here.focus(); // a screen reader begins at the new page
    mount(here);
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
    request.onerror = () => reject(new Error("not reached"));
    request.send(visit.method === "POST" ? (visit.body ?? null) : null);
  });
}
