// The script of the device page. It is small: whatever a first view does not need
// is imported when it is.

import { systemRandom } from "../crypto/bytes";

export { Keystore, type KeyRecord, StorageError } from "../keystore";
export { leastLength, strength, type Strength } from "../strength";

/** What has to do with keys: the curve comes with it. */
export function identity(): Promise<typeof import("../identity")> {
  return import("../identity");
}

/** Draws a passphrase; the list of words comes with it. */
export async function passphrase(): Promise<string> {
  const { drawPassphrase } = await import("../passphrase");
  return drawPassphrase(systemRandom);
}
