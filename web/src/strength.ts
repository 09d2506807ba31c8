// What a password is worth, simply and honestly: an estimate of how many guesses
// it takes somebody who knows how people choose. Patterns count little, however
// long they are. Drawing a good one is passphrase.ts. The command line has the same
// scale (internal/cli/strength.go); testdata/strength.json holds both to it.

export type Strength = "short" | "weak" | "fair" | "strong";

export const leastLength = 10;

/** Bits from which on a password is worth that. PBKDF2 multiplies each guess by 600 000. */
const fairBits = 36;
const strongBits = 44;

/** known are texts that an attacker would try first: the identity's name, the host. */
export function strength(password: string, known: readonly string[] = []): Strength {
  if (Array.from(password).length < leastLength) return "short";
  const bits = estimate(password, known);
  if (bits < fairBits) return "weak";
  return bits < strongBits ? "fair" : "strong";
}

/** What people choose, besides their own names. */
const common = (
  "correct horse battery staple|passwort|password|passw0rd|p4ssword|kennwort|qwerty|qwertz|azerty|asdf|zxcv|iloveyou|letmein|welcome|willkommen|" +
  "changeme|default|football|baseball|superman|batman|master|dragon|monkey|shadow|sunshine|princess|michael|jordan|starwars|computer|internet|" +
  "secret|geheim|admin|administrator|root|login|user|guest|test|hello|hallo|summer|sommer|winter|spring|autumn|monday|friday|january|october|" +
  "bitcoin|satoshi|nakamoto|wallet|crypto|hodl|moon|lambo|countersign|identity|love|lovely|baby|please|thank|thanks|always|forever|nothing|" +
  "the|you|and|for|are|not|this|that|with|have|from|your|what|when|will|make|like|just|know|good|some|time"
).split("|");
const commonBits = 5;

/** Neighbours on a keyboard, in the alphabet, and among the digits. */
const rows = ["abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm"];
const patternBits = 6;

const substitutes: Record<string, string> = { "0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", $: "s", "!": "i" };

function estimate(password: string, known: readonly string[]): number {
  const period = smallestPeriod(password);
  if (period < password.length) return estimate(password.slice(0, period), known) + Math.log2(password.length / period);
  const words = [...common, ...known.flatMap((text) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u)).filter((word) => word.length >= 3)];
  const seen = new Set<string>();
  let bits = 0;
  for (let at = 0; at < password.length; ) {
    const [length, worth] = nextPart(password.slice(at), words);
    const part = password.slice(at, at + length).toLowerCase();
    bits += length >= 3 && seen.has(part) ? 1 : worth; // what is repeated is worth little
    seen.add(part);
    at += length;
  }
  return bits;
}

/** The length of the shortest text that, repeated, gives this one. */
function smallestPeriod(text: string): number {
  for (let period = 1; period <= text.length / 2; period++) {
    if (text.slice(period) === text.slice(0, -period)) return period;
  }
  return text.length;
}

/** The longest thing that a text begins with, and the bits it is worth. */
function nextPart(rest: string, words: readonly string[]): [length: number, bits: number] {
  const lower = rest.toLowerCase();
  const plain = lower.replace(/[0134579@$!]/g, (character) => substitutes[character] ?? character);
  const word = words.filter((w) => lower.startsWith(w) || plain.startsWith(w)).sort((a, b) => b.length - a.length)[0];
  const pattern = Math.max(runLength(lower), sequenceLength(lower));
  if (word && word.length >= pattern) return [word.length, commonBits + (rest.slice(0, word.length) === word ? 0 : 1.5)];
  if (pattern >= 3) return [pattern, patternBits + Math.log2(pattern)];
  const year = /^(19|20)\d\d/.exec(rest);
  if (year) return [4, 6];
  const letters = /^\p{L}+/u.exec(rest)?.[0].split(/(?=\p{Lu})/u)[0];
  if (letters) return [letters.length, letterBits(letters)];
  if (/^\d/.test(rest)) return [1, Math.log2(10)];
  return /^[\p{Z}_.-]/u.test(rest) ? [1, 1] : [1, 5];
}

/** A run of letters is a word or two, unless no word looks like it. */
function letterBits(letters: string): number {
  const perLetter = 3.7;
  const capital = /^\p{Lu}/u.test(letters) ? 1 : 0;
  if (/[bcdfghjklmnpqrstvwxz]{5}/i.test(letters)) return letters.length * 4 + capital;
  const word = Math.min(letters.length * perLetter, 3 * perLetter);
  return word + Math.max(0, letters.length - 4) * 0.7 + capital;
}

/** How often the first character is repeated. */
function runLength(text: string): number {
  let n = 1;
  while (n < text.length && text[n] === text[0]) n++;
  return n;
}

/** How far a text follows one of the rows, in either direction. */
function sequenceLength(text: string): number {
  let longest = 1;
  for (const row of rows.flatMap((r) => [r, Array.from(r).reverse().join("")])) {
    const start = row.indexOf(text[0] ?? "\0");
    let n = 0;
    while (start >= 0 && n < text.length && row[start + n] === text[n]) n++;
    longest = Math.max(longest, n);
  }
  return longest;
}
