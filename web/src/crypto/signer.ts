// What can sign for an identity: a key unlocked in this page, or a wallet that
// keeps its key to itself. Whatever asks for a signature asks a Signer.

import type { Bytes } from "./bytes";

export interface Signer {
  /** The member key: compressed, lower-case hex. */
  readonly pubkey: string;
  readonly bapId: string;
  /** Signs a message for anyone; the answer is a BRC-77 envelope. */
  sign(message: Bytes): Promise<Bytes>;
}

/** The key was dropped from memory: unlock it again. */
export class LockedError extends Error {
  override readonly name = "LockedError";
}
