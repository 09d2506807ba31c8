// What the clients of the authorization code flow share.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { tell } from "./story.mjs";

// led sends the owner's browser, which the test is, to an address, and returns where it
// was led back to.
export async function led(url) {
  tell("authorize", { url: String(url) });
  const lines = createInterface({ input: process.stdin });
  const [line] = await once(lines, "line");
  lines.close();
  return new URL(line);
}
