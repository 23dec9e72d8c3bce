// The part of a page that changes comes by itself from the stream process. While that is away the page asks web again and
// again; not while nobody looks, and for nothing where nothing has changed.
import { noteSilence } from "./patience.js";
import { visit } from "./stream.js";

const REST_MS = 15_000; // of a part that is not expected to change any more
const SEARCH_MS = 300;
const live = document.querySelector("[data-live]");
const lost = document.querySelector("[data-lost]");
const search = document.querySelector("#q");
const formToken = document.querySelector("[data-form-token]")?.value ?? "";
const asked = new WeakMap();
const silences = new WeakMap();
let visited = null;
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
  if (document.hidden || visited.isStreaming || isResting) return event.preventDefault();
  asked.set(part, Date.now());
  silences.set(event.detail.ctx, noteSilence({ unless: () => visited.isStreaming }));
});

document.addEventListener("htmx:finally:request", (event) => clearTimeout(silences.get(event.detail.ctx)));

document.addEventListener("htmx:after:request", (event) => {
  const part = partOf(event);
  if (!part) return;
  const { response } = event.detail.ctx;
  lost.hidden = response.status < 500;
  // The part stays as it is, and the page says that it may be old; but a session that has ended leads to the login.
  const isOvertaken = visited.isStreaming && event.detail.ctx.sourceElement === part;
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

function show(target, html, swap) {
  if (!target) return;
  delete live.dataset.etag; // what web sent last is not what is shown any more
  // The stream does not know what forms of this session have to bring along.
  const text = html.replaceAll('name="form_token" value=""', `name="form_token" value="${formToken}"`);
  swaps = swaps.then(() => htmx.swap({ text, target, swap, sourceElement: target }));
}

if (live) {
  visited = visit({
    query: () => ({ view: live.dataset.live, what: live.dataset.what ?? search?.value ?? "" }),
    look,
    hear: {
      view: ({ html }) => {
        lost.hidden = true;
        show(live, html, "innerMorph");
      },
      pieces: ({ pieces }) => {
        for (const [id, html] of Object.entries(pieces)) show(document.getElementById(id), html, "outerMorph");
      },
    },
  });
  search?.addEventListener("input", () => visited.comeSoon(SEARCH_MS));
}
