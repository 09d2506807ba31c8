// Following a request that is decided elsewhere: on the command line, in another
// tab. The server is asked every few seconds, and only while the page is seen.

const everyMilliseconds = 3000;

/** What decided is called with when the server knows no such code any more. */
export const over = "over";

/**
 * Calls decided once when a request is no longer pending; returns how to stop. It
 * is not asked for while it is being decided here: the answer to that says more.
 */
export function follow(userCode: string, decided: (status: string) => void, decidedHere = () => false): () => void {
  const end = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    end.abort();
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", wake);
  };
  const ask = async () => {
    clearTimeout(timer);
    if (end.signal.aborted || document.visibilityState !== "visible") return;
    const status = decidedHere() ? undefined : await statusOf(userCode, end.signal);
    if (end.signal.aborted) return;
    if (status === "pending" || status === undefined || decidedHere()) {
      timer = setTimeout(() => void ask(), everyMilliseconds);
      return;
    }
    stop();
    decided(status);
  };
  const wake = () => void ask();
  document.addEventListener("visibilitychange", wake);
  timer = setTimeout(() => void ask(), everyMilliseconds);
  return stop;
}

/**
 * The state of a request: over when the server knows no such code any more, after
 * which it is not asked again, and undefined when it was not reached or is too busy.
 */
async function statusOf(userCode: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const answer = await fetch(`/api/auth/device?${new URLSearchParams({ user_code: userCode })}`, { cache: "no-store", signal });
    if (answer.status >= 500 || answer.status === 429) return undefined;
    if (!answer.ok) return over;
    return ((await answer.json()) as { status: string }).status;
  } catch {
    return undefined;
  }
}
