// Time between requests.

/** Return after so many seconds, or as soon as `signal` says that nobody waits any more. */
export function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/** Do `work` again and again with pauses, except while the page is hidden; `onTrouble` hears of what may pass. */
export async function repeat(work, seconds, { onTrouble, signal }) {
  while (!signal.aborted) {
    try {
      if (!document.hidden) await work();
      onTrouble(null);
    } catch (error) {
      if (signal.aborted) return;
      if (!error.passes) throw error;
      onTrouble(error);
    }
    await pause(seconds, signal);
  }
}
