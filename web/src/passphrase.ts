// Passphrases drawn by the page: four words of a list of 2048, 44 bits. The list
// comes from its own file, which only the screen that offers one loads.

/*! The word list is of @scure/bip39, MIT License (c) 2022 Patricio Palladino, Paul Miller (paulmillr.com) */

import type { Random } from "./crypto/bytes";
import { strength } from "./strength";

export const passphraseWords = 4;

/**
 * Draws a passphrase. One that the page would then call less than strong, because
 * a word is there twice or is among those people choose, is drawn anew: that
 * costs a tenth of a bit.
 */
export async function drawPassphrase(random: Random): Promise<string> {
  const { wordlist } = await import("@scure/bip39/wordlists/english.js");
  for (;;) {
    const drawn = random(2 * passphraseWords);
    // 2048 divides 65536, so that no word is more likely than another.
    const index = (i: number) => ((drawn[2 * i]! << 8) | drawn[2 * i + 1]!) % wordlist.length;
    const phrase = Array.from({ length: passphraseWords }, (_, i) => wordlist[index(i)]).join(" ");
    if (strength(phrase) === "strong") return phrase;
  }
}
