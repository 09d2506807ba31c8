// The field for a user code groups it as it is typed (requirement D-39). What the
// server takes is not decided here: it reads any case, spaces, dashes and links.

const [shortest, longest] = [8, 10];

/** Groups a code field's text while it is typed or pasted. */
export function mountEnter(main: HTMLElement): void {
  const field = main.querySelector<HTMLInputElement>("input#code");
  if (!field) return;
  field.addEventListener("input", (event) => {
    if (event instanceof InputEvent && event.isComposing) return; // half a character of another script
    const atEnd = field.selectionEnd === field.value.length;
    const grouped = groupCode(field.value);
    if (grouped === field.value) return;
    const lettersBefore = plain(field.value.slice(0, field.selectionEnd ?? undefined)).length;
    field.value = grouped;
    const at = atEnd ? grouped.length : positionOf(grouped, lettersBefore);
    field.setSelectionRange(at, at);
  });
}

/** XXXX-XXXX, or the text as it is where that is no code in the making. */
export function groupCode(typed: string): string {
  const linked = fromLink(typed);
  if (linked !== undefined && plain(linked).length < shortest) return typed; // a link that is not typed to its end
  const letters = plain(linked ?? typed);
  if (letters.length > longest || /[^A-Z]/.test(letters)) return typed;
  const first = letters.length === longest ? 5 : 4;
  return letters.length <= first ? letters : `${letters.slice(0, first)}-${letters.slice(first)}`;
}

function plain(text: string): string {
  return text.normalize("NFKC").replace(/[\s\p{Pd}\u2212_.]/gu, "").toUpperCase();
}

/** The code in a pasted link, or undefined. */
function fromLink(text: string): string | undefined {
  if (!/^\s*https?:\/\//i.test(text)) return undefined;
  try {
    const query = new URL(text.trim()).searchParams;
    return query.get("code") ?? query.get("user_code") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Where the caret stands after a number of letters. */
function positionOf(grouped: string, letters: number): number {
  let at = 0;
  for (let n = 0; n < letters && at < grouped.length; at++) if (grouped[at] !== "-") n++;
  return at;
}
