// A BAP identity and the member key that controls it. The key lives in a private
// field, so that an identity that is printed or serialised shows none of it.

import { type Bytes, type Random } from "./bytes";
import { sign } from "./brc77";
import { addressOf, bapIdOf, formatPublicKey, newPrivateKey, type PrivateKey, publicKeyOf } from "./keys";
import { LockedError, type Signer } from "./signer";
import { ownChild } from "./type42";

/** Derives the key that signs for an identity on chain. */
const signingInvoice = "1-sigma-identity";

export class Identity implements Signer {
  readonly pubkey: string;
  readonly bapId: string;
  #key: PrivateKey | undefined;
  readonly #random: Random;

  /** path is where a master derives the identity (bap:0), or undefined. */
  constructor(
    readonly name: string,
    key: PrivateKey,
    random: Random,
    readonly path?: string,
  ) {
    const publicKey = publicKeyOf(key);
    this.pubkey = formatPublicKey(publicKey);
    this.bapId = bapIdOf(publicKey);
    this.#key = key;
    this.#random = random;
  }

  /** A new identity with a key of its own. */
  static create(name: string, random: Random): Identity {
    return new Identity(name, newPrivateKey(random), random);
  }

  /** The member key itself. Throws LockedError after forget. */
  get key(): PrivateKey {
    if (!this.#key) throw new LockedError("this identity is locked");
    return this.#key;
  }

  /** Throws LockedError after forget. */
  async sign(message: Bytes): Promise<Bytes> {
    return sign(message, this.key, this.#random);
  }

  /** The address the BAP id is made of. */
  get rootAddress(): string {
    return addressOf(publicKeyOf(this.key));
  }

  /** The address that signs on chain for a member after counter rotations. */
  signingAddress(counter: number): string {
    return addressOf(publicKeyOf(ownChild(ownChild(this.key, `bap:${counter}`), signingInvoice)));
  }

  /** Drops the key, and overwrites the bytes that held it. */
  forget(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

/** Where a master derives its identities: bap:0, bap:1 and so on. */
export function masterPath(index: number): string {
  return `bap:${index}`;
}

/** The identity that a master derives at a path. */
export function identityAt(master: PrivateKey, path: string, name: string, random: Random): Identity {
  return new Identity(name, ownChild(master, path), random, path);
}
