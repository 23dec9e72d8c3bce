// The part of a page that web makes: the stream says that something has happened, and the page asks web for its part again.
import { isFilledIn } from "./fields.js";
import { askWeb } from "./patience.js";
import { letGo } from "./pressed.js";
import { visit } from "./stream.js";

const QUIET_MS = 30_000; // while it is told of what happens: time passes, too, and a lock expires
const AWAY_MS = 5000; // while it is not told
const REMEMBERED = 5; // answers of which it knows what they cost web
const FIELDS = "input:not([type=hidden]), select, textarea";

const part = document.querySelector("[data-renews]");
const changed = document.querySelector("[data-changed]");
const lost = document.querySelector("[data-lost]");

function isEdited() {
  return [...part.querySelectorAll(FIELDS)].some((each) => each === document.activeElement || isFilledIn(each));
}

function start() {
  let visited = null;
  let place = { turn: 0, of: 1 }; // among the pages that were told together
  let took = [Number(part.dataset.took)]; // what web needed to make the part, lately
  let wanted = Infinity; // when it is to ask next
  let restsUntil = 0;
  let isAsking = false;
  let next = 0;

  // What web needs for so many parts like this one. The least counts: what goes beyond it was waiting for others.
  function time(parts) {
    return Math.min(parts * Math.min(...took), AWAY_MS);
  }

  // Pages that are told together ask in turn, as if web made one part after the other, and again when all have had their turn.
  // So they leave web its own, however many they are and whatever they cost it. Who waits for their turn is told nothing more.
  function look() {
    wanted = Math.min(wanted, performance.now() + time(place.turn));
    plan();
  }

  // Never more than one question at a time.
  function plan() {
    if (isAsking || document.hidden) return;
    clearTimeout(next);
    next = setTimeout(ask, Math.max(wanted, restsUntil) - performance.now());
  }

  async function ask() {
    if (document.hidden) return;
    isAsking = true;
    wanted = Infinity;
    try {
      await show(await askWeb(location.pathname + location.search, headers()));
    } catch {
      lost.hidden = false;
    }
    isAsking = false;
    restsUntil = performance.now() + time(place.of);
    wanted = Math.min(wanted, performance.now() + pause());
    plan();
  }

  function hear(told) {
    place = told;
    look();
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
    const made = /^part;dur=([\d.]+)$/.exec(answer.headers.get("Server-Timing"));
    if (made) took = [...took.slice(1 - REMEMBERED), Number(made[1])];
    if (answer.status === 304) changed.hidden = true;
    if (answer.status !== 200) return; // it is as it was, or it is refused: what is shown stays
    const text = await answer.text();
    await letGo();
    // What somebody fills in is not taken from them, nor what they decide by: they are told that it is old.
    changed.hidden = !("noted" in part.dataset || isEdited());
    if (!changed.hidden) return;
    part.dataset.etag = answer.headers.get("ETag");
    await htmx.swap({ text, target: part, swap: "innerMorph", sourceElement: part });
  }

  part.addEventListener("focusout", () => setTimeout(() => changed.hidden || isEdited() || look()));
  if ("told" in part.dataset) {
    const query = () => ({ view: "news", what: part.dataset.told });
    visited = visit({ query, page: part.dataset.renews, look, hear: { news: hear } });
  } else {
    document.addEventListener("visibilitychange", look);
    wanted = performance.now() + pause();
    plan();
  }
}

if (part) start();
