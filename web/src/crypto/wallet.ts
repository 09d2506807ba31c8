// A BRC-100 wallet, window.CWI, as a signer. The wallet keeps the key and signs
// with the child that BRC-77 derives; the envelope around it is put together
// here, and verified before it is used.

import { base64, type Bytes, type Random } from "./bytes";
import { envelope, keyIdLength, lowS, protocol, verify } from "./brc77";
import { bapIdOf, formatPublicKey, parsePublicKey } from "./keys";
import type { Signer } from "./signer";

/** The part of BRC-100 that is used. */
export interface CWI {
  getPublicKey(args: { identityKey: true }): Promise<{ publicKey: string }>;
  createSignature(args: {
    data: number[];
    protocolID: [2, "message signing"];
    keyID: string;
    counterparty: "anyone";
  }): Promise<{ signature: ArrayLike<number> }>;
}

/** Calls back once, and returns how to call that off. */
export type After = (milliseconds: number, then: () => void) => () => void;

/** How long a wallet may wait for its person. */
export const walletMilliseconds = 2 * 60 * 1000;

/** The wallet refused, did not answer in time, or gave something that is no signature by its key. */
export class WalletError extends Error {
  override readonly name = "WalletError";
}

/** The wallet of this page, or undefined when there is none. */
export function findWallet(scope: object): CWI | undefined {
  const found: unknown = (scope as { CWI?: unknown }).CWI;
  if (typeof found !== "object" || found === null) return undefined;
  const cwi = found as Partial<CWI>;
  return typeof cwi.getPublicKey === "function" && typeof cwi.createSignature === "function" ? (cwi as CWI) : undefined;
}

/** Asks a wallet for its identity, and makes a signer of it. Throws WalletError. */
export async function walletSigner(cwi: CWI, random: Random, after: After): Promise<Signer> {
  const asked = <T>(what: string, ask: () => Promise<T>) => inTime(what, ask, after);
  const key = await asked("tell its public key", async () => parsePublicKey((await cwi.getPublicKey({ identityKey: true })).publicKey));
  const pubkey = formatPublicKey(key);

  async function sign(message: Bytes): Promise<Bytes> {
    const keyId = random(keyIdLength);
    const signed = await asked("sign", async () => {
      const { signature } = await cwi.createSignature({
        data: Array.from(message),
        protocolID: [...protocol],
        keyID: base64(keyId),
        counterparty: "anyone",
      });
      return envelope(key, keyId, lowS(Uint8Array.from(signature)));
    });
    await asked("sign with its own key", async () => verify(message, signed));
    return signed;
  }
  return { pubkey, bapId: bapIdOf(key), sign };
}

async function inTime<T>(what: string, ask: () => Promise<T>, after: After): Promise<T> {
  let callOff: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    callOff = after(walletMilliseconds, () => reject(new Error("it did not answer")));
  });
  try {
    return await Promise.race([ask(), late]);
  } catch (cause) {
    throw new WalletError(`the wallet did not ${what}`, { cause });
  } finally {
    callOff();
  }
}
