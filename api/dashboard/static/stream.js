// The way to the stream process: a ticket from web, then Server-Sent Events. It may be under another origin.
import { askWeb, SILENT_MS } from "./patience.js";
import { sayWaits } from "./waits.js";

const SOUNDS = ["open", "beat", "view", "pieces", "news", "waits", "status", "steps", "log"];
const TRY_MS = [1000, 3000, 10_000, 30_000]; // after which it is tried again

export async function openStream(path, query, page = "") {
  const answer = await askWeb(`/live/ticket${page && `?page=${encodeURIComponent(page)}`}`);
  if (!answer.ok || answer.redirected) throw new Error(`no ticket: ${answer.status}`);
  const { origin, ticket } = await answer.json();
  return listened(new EventSource(`${origin}${path}?${new URLSearchParams({ ...query, ticket })}`));
}

// It fails, too, when it has been silent for too long: the stream says something every 3 s.
function listened(source) {
  let silence = 0;
  const hear = () => {
    clearTimeout(silence);
    silence = setTimeout(() => source.readyState !== EventSource.CLOSED && source.dispatchEvent(new Event("error")), SILENT_MS);
  };
  for (const name of SOUNDS) source.addEventListener(name, hear);
  hear();
  return source;
}

// Stays with the stream while somebody looks at the page: `hear` has what to do by the names of events, `look` has the
// page ask web, which is done whenever something may have been missed.
export function visit({ query, page, hear, look }) {
  const visited = { isStreaming: false, come, leave, comeSoon };
  let source = null;
  let turn = 0; // of coming to the stream: who comes with an old one has been overtaken
  let tries = 0;
  let next = 0;

  function leave() {
    turn += 1;
    visited.isStreaming = false;
    document.documentElement.removeAttribute("data-streams");
    clearTimeout(next);
    source?.close();
    source = null;
  }

  function comeSoon(wait) {
    leave();
    next = setTimeout(come, wait);
  }

  function comeLater(wait) {
    comeSoon(wait);
    look();
  }

  async function come() {
    leave();
    if (document.hidden) return;
    const mine = turn;
    let opened;
    try {
      opened = await openStream("/live", query(), page);
    } catch {
      if (mine === turn) comeLater(TRY_MS[Math.min(tries++, TRY_MS.length - 1)]);
      return;
    }
    if (mine !== turn) {
      opened.close();
      return;
    }
    source = opened;
    for (const [name, does] of Object.entries(hear)) {
      source.addEventListener(name, (event) => {
        visited.isStreaming = true;
        document.documentElement.dataset.streams = "";
        tries = 0;
        does(JSON.parse(event.data));
      });
    }
    source.addEventListener("waits", (event) => sayWaits(JSON.parse(event.data).count));
    source.addEventListener("cut", (event) => {
      if (JSON.parse(event.data).code === "renew") come();
      else comeLater(TRY_MS[0]);
    });
    source.addEventListener("error", () => comeLater(TRY_MS[Math.min(tries++, TRY_MS.length - 1)]));
  }

  // Browsers keep few connections to one host, so only a page that somebody looks at has one.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return leave();
    look();
    return come();
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && come());
  come();
  return visited;
}
