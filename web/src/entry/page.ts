// The script of the device page. It is small: what has to do with keys is imported
// by the screens that need it, so that no first view carries the curve.

import { App } from "../page/app";
import { readMessages } from "../page/dom";
import { mountEnter } from "../page/enter";
import { startSoft } from "../page/soft";
import { localiseTimes } from "../page/times";

const app = new App();
let end: () => void = () => undefined;

/** Brings a page to life that was put in place. */
function mount(main: HTMLElement): void {
  end();
  end = () => undefined;
  const { address, now } = main.dataset;
  // A code that came by a link is taken out of the address bar (attack B-16).
  if (address && location.search) history.replaceState(null, "", address);
  if (now) app.setClock(Number(now));
  localiseTimes(main);
  app.showLock();
  mountEnter(main);
  void mountScreen(main);
}

async function mountScreen(main: HTMLElement): Promise<void> {
  let ends: (() => void) | undefined;
  switch (main.dataset["screen"]) {
    case "signin":
      ends = (await import("../page/ways")).mountWays(app, main);
      break;
    case "review":
      ends = (await import("../page/decision")).mountDecision(app, main);
      break;
    case "account":
      await (await import("../page/account")).mountAccount(app, main);
      break;
  }
  if (!ends) return;
  if (main.isConnected) end = ends;
  else ends(); // another page came meanwhile
}

readMessages(document);
startSoft(mount);
const first = document.querySelector("main");
if (first) mount(first);
