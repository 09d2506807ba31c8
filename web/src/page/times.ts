// Times and lengths of time, as the reader's language and place write them. The
// server writes UTC, for those without scripts.

/** Rewrites every time element in the reader's own time zone. */
export function localiseTimes(root: ParentNode): void {
  const form = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.textContent = form.format(at);
  }
}

/** Minutes and seconds, like 1:05. */
export function clock(seconds: number): string {
  const digits = new Intl.NumberFormat(document.documentElement.lang, { useGrouping: false });
  const two = new Intl.NumberFormat(document.documentElement.lang, { minimumIntegerDigits: 2 });
  return `${digits.format(Math.floor(seconds / 60))}:${two.format(seconds % 60)}`;
}
