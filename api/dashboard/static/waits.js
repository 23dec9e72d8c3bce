// How much of the inbox waits for whoever looks, in the head of every page. The stream says it; where it does not, web is asked.
import { letGo } from "./pressed.js";

const ASK_MS = 30_000;
const shown = document.querySelector("[data-waits]");

export async function sayWaits(count) {
  if (!shown) return;
  await letGo();
  shown.hidden = count === 0;
  shown.querySelector("[data-waits-count]").textContent = count;
}

async function ask() {
  if (document.hidden || "streams" in document.documentElement.dataset) return;
  try {
    const answer = await fetch("/inbox/count", { signal: AbortSignal.timeout(ASK_MS) });
    if (answer.ok && !answer.redirected) sayWaits((await answer.json()).count);
  } catch {
    // Web is away, and is asked again.
  }
}

if (shown) setInterval(ask, ASK_MS);
if (shown && document.querySelector("[data-refused]")) ask(); // a page that says no was made without it
