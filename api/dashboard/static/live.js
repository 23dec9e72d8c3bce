// Parts of a page that are asked for again and again: not while nobody looks, and for nothing where nothing has changed.
const REST_MS = 15_000; // of a part that is not expected to change any more
const lost = document.querySelector("[data-lost]");
const asked = new WeakMap();

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
  if (document.hidden || isResting) event.preventDefault();
  else asked.set(part, Date.now());
});

document.addEventListener("htmx:after:request", (event) => {
  const part = partOf(event);
  if (!part) return;
  const { response } = event.detail.ctx;
  lost.hidden = response.status < 500;
  // The part stays as it is, and the page says that it may be old; but a session that has ended leads to the login.
  if (response.status >= 400 && !response.headers.get("HX-Redirect")) event.preventDefault();
  const tag = response.headers.get("ETag");
  if (response.status === 200 && tag) part.dataset.etag = tag;
});

document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && partOf(event)) lost.hidden = false;
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const part of document.querySelectorAll("[data-live]")) {
    asked.delete(part);
    htmx.trigger(part, "look");
  }
});
