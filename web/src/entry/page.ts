// The script of the device page, all screens in one file: on a slow network each
// further file costs more time than these few kilobytes. What has to do with keys
// is imported when it is needed, so that no first view carries the curve.

import { mountAccount } from "../page/account";
import { App } from "../page/app";
import { need, readMessages } from "../page/dom";
import { mountEnter } from "../page/enter";
import { mountProofs } from "../page/proof";
import { mountReview } from "../page/review";
import { mountSignIn } from "../page/signin";
import { startSoft } from "../page/soft";
import { localiseTimes } from "../page/times";

const app = new App();
let end: () => void = () => undefined;

/** Brings a page to life that was put in place. */
function mount(main: HTMLElement): void {
  end();
  const { address, now } = main.dataset;
  // A code that came by a link is taken out of the address bar (attack B-16).
  if (address && location.search) history.replaceState(null, "", address);
  if (now) app.setClock(Number(now));
  localiseTimes(main);
  app.showLock();
  mountEnter(main);
  mountProofs(app, main);
  end = mountScreen(main);
}

/** Returns what ends the screen. */
function mountScreen(main: HTMLElement): () => void {
  switch (main.dataset["screen"]) {
    case "signin":
      return mountSignIn(app, main);
    case "review":
      return mountReview(app, main);
    case "account":
      return mountAccount(app, main);
    case "leave":
      location.replace(need<HTMLAnchorElement>(main, "#leave").href);
      return () => undefined;
    default:
      return () => undefined;
  }
}

readMessages(document);
startSoft(mount, () => app.unlocked);
const first = document.querySelector("main");
if (first) mount(first);
