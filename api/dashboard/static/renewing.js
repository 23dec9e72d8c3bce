// The part of a page that web makes: the stream says that something has happened, and the page asks web for its part again.
import { isFilledIn } from "./fields.js";
import { visit } from "./stream.js";

const QUIET_MS = 30_000; // while it is told of what happens: time passes, too, and a lock expires
const AWAY_MS = 5000; // while it is not told
const REST_TIMES = 4; // a page rests four times as long as the answer took, so that many of them leave web its own,
const MOST_REST_MS = 2000; // but not for ever where web is slow
const FIELDS = "input:not([type=hidden]), select, textarea";

const part = document.querySelector("[data-renews]");
const changed = document.querySelector("[data-changed]");
const lost = document.querySelector("[data-lost]");

function isEdited() {
  return [...part.querySelectorAll(FIELDS)].some((each) => each === document.activeElement || isFilledIn(each));
}

function start() {
  let visited = null;
  let isAsking = false;
  let isOwed = false;
  let restsUntil = 0;
  let next = 0;

  // Never more than one question at a time, and one after it, however much has happened meanwhile.
  function look() {
    isOwed = true;
    if (isAsking || document.hidden) return;
    clearTimeout(next);
    next = setTimeout(ask, Math.max(0, restsUntil - Date.now()));
  }

  async function ask() {
    if (document.hidden) return;
    isAsking = true;
    isOwed = false;
    const begun = Date.now();
    try {
      await show(await fetch(location.pathname + location.search, { headers: headers() }));
    } catch {
      lost.hidden = false;
    }
    isAsking = false;
    restsUntil = Date.now() + Math.min(REST_TIMES * (Date.now() - begun), MOST_REST_MS);
    if (isOwed) look();
    else next = setTimeout(ask, pause());
  }

  function headers() {
    return { "HX-Request": "true", "HX-Current-URL": location.href, "If-None-Match": part.dataset.etag };
  }

  function pause() {
    if (part.dataset.every) return Number(part.dataset.every) * 1000;
    return visited.isStreaming && lost.hidden ? QUIET_MS : AWAY_MS;
  }

  async function show(answer) {
    const login = answer.headers.get("HX-Redirect");
    if (login) location.assign(login);
    lost.hidden = answer.status < 500;
    if (answer.status === 304) changed.hidden = true;
    if (answer.status !== 200) return; // it is as it was, or it is refused: what is shown stays
    const text = await answer.text();
    // What somebody fills in is not taken from them, nor what they decide by: they are told that it is old.
    changed.hidden = !("noted" in part.dataset || isEdited());
    if (!changed.hidden) return;
    part.dataset.etag = answer.headers.get("ETag");
    await htmx.swap({ text, target: part, swap: "innerMorph", sourceElement: part });
  }

  part.addEventListener("focusout", () => setTimeout(() => changed.hidden || isEdited() || look()));
  if ("told" in part.dataset) {
    const query = () => ({ view: "news", what: part.dataset.told });
    visited = visit({ query, page: part.dataset.renews, look, hear: { news: look } });
  } else {
    document.addEventListener("visibilitychange", look);
    next = setTimeout(ask, pause());
  }
}

if (part) start();
