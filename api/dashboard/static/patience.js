// Web is asked once, and not again before it has answered: one that is slow is not made slower. Where it has said nothing for so
// long, as when it stands still or a network is broken, the page says that what it shows may be old.
export const SILENT_MS = 8000;
const GIVEN_UP_MS = 60_000;
const lost = document.querySelector("[data-lost]");

export function noteSilence({ unless = () => false } = {}) {
  return setTimeout(() => (lost.hidden = unless()), SILENT_MS);
}

export async function askWeb(path, headers = {}) {
  const silence = noteSilence();
  try {
    return await fetch(path, { headers, signal: AbortSignal.timeout(GIVEN_UP_MS) });
  } finally {
    clearTimeout(silence);
  }
}
