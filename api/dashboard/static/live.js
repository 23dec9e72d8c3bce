// The part of a page that changes comes by itself from the stream process. While that is away the page asks web again and
// again; not while nobody looks, and for nothing where nothing has changed.
import { openStream } from "./stream.js";

const REST_MS = 15_000; // of a part that is not expected to change any more
const TRY_MS = [1000, 3000, 10_000, 30_000]; // after which the stream is tried again
const live = document.querySelector("[data-live]");
const lost = document.querySelector("[data-lost]");
const search = document.querySelector("#q");
const formToken = document.querySelector("[data-form-token]")?.value ?? "";
const asked = new WeakMap();
let source = null;
let turn = 0; // of coming to the stream: who comes with an old one has been overtaken
let tries = 0;
let next = 0;
let isStreaming = false;
let swaps = Promise.resolve();

const partOf = (event) => event.detail.ctx.sourceElement.closest?.("[data-live]");

document.addEventListener("htmx:config:request", (event) => {
  const part = partOf(event);
  if (part?.dataset.etag && event.detail.ctx.sourceElement === part) {
    event.detail.ctx.request.headers["If-None-Match"] = part.dataset.etag;
  }
});

document.addEventListener("htmx:before:request", (event) => {
  const part = partOf(event);
  if (!part || event.detail.ctx.sourceElement !== part) return;
  const isResting = part.querySelector("[data-rests]") && Date.now() - (asked.get(part) ?? 0) < REST_MS;
  if (document.hidden || isStreaming || isResting) event.preventDefault();
  else asked.set(part, Date.now());
});

document.addEventListener("htmx:after:request", (event) => {
  const part = partOf(event);
  if (!part) return;
  const { response } = event.detail.ctx;
  lost.hidden = response.status < 500;
  // The part stays as it is, and the page says that it may be old; but a session that has ended leads to the login.
  const isOvertaken = isStreaming && event.detail.ctx.sourceElement === part;
  if (isOvertaken || (response.status >= 400 && !response.headers.get("HX-Redirect"))) event.preventDefault();
  const tag = response.headers.get("ETag");
  if (response.status === 200 && tag) part.dataset.etag = tag;
});

document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && partOf(event)) lost.hidden = false;
});

function look() {
  asked.delete(live);
  htmx.trigger(live, "look");
}

function leave() {
  turn += 1;
  isStreaming = false;
  delete live.dataset.streams;
  clearTimeout(next);
  source?.close();
  source = null;
}

function comeLater(wait) {
  leave();
  look();
  next = setTimeout(come, wait);
}

function show(target, html, swap) {
  if (!target) return;
  delete live.dataset.etag; // what web sent last is not what is shown any more
  // The stream does not know what forms of this session have to bring along.
  const text = html.replaceAll('name="form_token" value=""', `name="form_token" value="${formToken}"`);
  swaps = swaps.then(() => htmx.swap({ text, target, swap, sourceElement: target }));
}

async function come() {
  leave();
  if (document.hidden) return;
  const mine = turn;
  let opened;
  try {
    opened = await openStream("/live", { view: live.dataset.live, what: live.dataset.what ?? search?.value ?? "" });
  } catch {
    if (mine === turn) comeLater(TRY_MS[Math.min(tries++, TRY_MS.length - 1)]);
    return;
  }
  if (mine !== turn) {
    opened.close();
    return;
  }
  source = opened;
  source.addEventListener("view", (event) => {
    isStreaming = true;
    live.dataset.streams = "";
    tries = 0;
    lost.hidden = true;
    show(live, JSON.parse(event.data).html, "innerMorph");
  });
  source.addEventListener("pieces", (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data).pieces)) {
      show(document.getElementById(id), html, "outerMorph");
    }
  });
  source.addEventListener("cut", (event) => {
    if (JSON.parse(event.data).code === "renew") come();
    else comeLater(TRY_MS[0]);
  });
  source.addEventListener("error", () => comeLater(TRY_MS[Math.min(tries++, TRY_MS.length - 1)]));
}

if (live) {
  // Browsers keep few connections to one host, so only a page that somebody looks at has one.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return leave();
    look();
    return come();
  });
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && come());
  search?.addEventListener("input", () => {
    leave();
    next = setTimeout(come, 300);
  });
  come();
}
