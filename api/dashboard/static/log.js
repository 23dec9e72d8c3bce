// The log of a step: reads on, follows the end, searches, and keeps each line's address.
import { paint } from "./colours.js";
import { askWeb } from "./patience.js";
import { openStream } from "./stream.js";

const log = document.querySelector("[data-log]");
const lost = document.querySelector("[data-lost]");
const FAST_MS = 700;
const HIDDEN_MS = 5000;
const STREAM_AGAIN_MS = 5000;
const MOST_FOUND = 5000;
const FRAMES_TO_THE_END = 3;
const GROUP = "::group::";
const END_OF_GROUP = "::endgroup::";

function start() {
  const follow = document.querySelector("[data-log-follow]");
  const search = document.querySelector("[data-log-search]");
  const found = document.querySelector("[data-log-found]");
  const status = document.querySelector("[data-log-status]");
  const failure = document.querySelector("[data-log-failure]");
  const empty = document.querySelector("[data-log-empty]");
  const foldAll = document.querySelector("[data-log-fold]");
  let group = null; // the line that began what is being folded together
  let cursor = "";
  let count = 0;
  let torn = null; // what the last line is so far, where it has no end yet
  let scrolledTo = 0;
  let hits = [];
  let hasMore = false;
  let at = -1;

  function line(text) {
    count += 1;
    const row = document.createElement("div");
    row.className = "line";
    row.id = `L${count}`;
    row.dataset.number = count;
    paint(row, text);
    if (group) {
      row.dataset.group = group.id;
      row.hidden = group.getAttribute("aria-expanded") === "false";
    }
    return row;
  }

  // Only a line that has its end says what it is: pieces of output are cut anywhere.
  function mark(row) {
    const text = row.textContent;
    if (text.startsWith(GROUP)) begin(row, text.slice(GROUP.length).trim() || "…");
    else if (text.startsWith(END_OF_GROUP)) group = null;
  }

  // Scripts fold what they write by lines that begin with ::group:: and ::endgroup::, as GitHub's runners read them.
  function begin(row, title) {
    group = row;
    delete row.dataset.group;
    row.hidden = false;
    row.textContent = title;
    row.classList.add("group");
    row.tabIndex = 0;
    row.setAttribute("role", "button");
    row.setAttribute("aria-expanded", "true");
    foldAll.hidden = false;
  }

  function fold(row, isFolded) {
    row.setAttribute("aria-expanded", String(!isFolded));
    for (let each = row.nextElementSibling; each?.dataset.group === row.id; each = each.nextElementSibling) each.hidden = isFolded;
  }

  function reveal(row) {
    if (row.hidden) fold(document.getElementById(row.dataset.group), false);
  }

  function add(text) {
    if (!text) return;
    const lines = text.split("\n");
    const rest = lines.pop();
    if (torn !== null) {
      const row = log.lastElementChild;
      const hasEnd = lines.length > 0;
      torn += hasEnd ? lines.shift() : rest;
      paint(row, torn);
      if (hasEnd) {
        mark(row);
        torn = null;
      }
    }
    const made = document.createDocumentFragment();
    for (const each of lines) {
      const row = line(each);
      mark(row);
      made.append(row);
    }
    if (rest && torn === null) {
      made.append(line(rest));
      torn = rest;
    }
    log.append(made);
    empty.hidden = true;
    goToEnd();
  }

  // Lines get their height when they come into view: the end is where it was thought to be only after they have.
  function goToEnd(frames = FRAMES_TO_THE_END) {
    if (!follow.checked) return;
    log.scrollTop = log.scrollHeight;
    scrolledTo = log.scrollTop;
    if (frames > 0) requestAnimationFrame(() => goToEnd(frames - 1));
  }

  function centre(row) {
    reveal(row);
    log.scrollTop = row.offsetTop - log.clientHeight / 2;
  }

  function show() {
    const target = /^#L\d+$/.test(location.hash) && document.querySelector(location.hash);
    for (const each of log.querySelectorAll(".aimed")) each.classList.remove("aimed");
    if (!target) return false;
    target.classList.add("aimed");
    follow.checked = false;
    centre(target);
    return true;
  }

  function look() {
    for (const each of hits) each.classList.remove("hit", "current");
    const wanted = search.value.toLowerCase();
    hits = [];
    at = -1;
    hasMore = false;
    if (wanted) {
      for (const each of log.querySelectorAll(".line")) {
        if (!each.textContent.toLowerCase().includes(wanted)) continue;
        hasMore = hits.length === MOST_FOUND;
        if (hasMore) break;
        hits.push(each);
      }
      for (const each of hits) each.classList.add("hit");
    }
    found.textContent = wanted ? `${hits.length} found` : "";
    if (hits.length) next(1);
  }

  function next(step) {
    if (!hits.length) return;
    hits[at]?.classList.remove("current");
    at = (at + step + hits.length) % hits.length;
    hits[at].classList.add("current");
    follow.checked = false;
    centre(hits[at]);
    history.replaceState(null, "", `#${hits[at].id}`); // the address of what was found is that of its line
    found.textContent = `${at + 1} of ${hasMore ? "more than " : ""}${hits.length}`;
  }

  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    next(event.shiftKey ? -1 : 1);
  });
  follow.addEventListener("change", () => goToEnd());
  log.addEventListener("scroll", () => {
    if (log.scrollTop < scrolledTo) follow.checked = false; // somebody went back, however they did
    scrolledTo = log.scrollTop;
  });
  log.addEventListener("click", (event) => {
    const row = event.target.closest(".line");
    const gutter = Number.parseFloat(getComputedStyle(row ?? log).paddingLeft);
    if (!row) return;
    if (event.clientX - row.getBoundingClientRect().left < gutter) location.hash = row.id;
    else if (row.classList.contains("group")) fold(row, row.getAttribute("aria-expanded") === "true");
  });
  log.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key) || !event.target.classList.contains("group")) return;
    event.preventDefault();
    fold(event.target, event.target.getAttribute("aria-expanded") === "true");
  });
  foldAll.addEventListener("click", () => {
    const groups = [...log.querySelectorAll(".group")];
    const isFolded = groups.some((each) => each.getAttribute("aria-expanded") === "true");
    for (const each of groups) fold(each, isFolded);
    goToEnd();
  });
  addEventListener("hashchange", show);

  async function readOn() {
    const answer = await askWeb(`${log.dataset.log}?limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    if (answer.redirected) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.hash)}`); // the session has ended
    if (!answer.ok || answer.redirected) throw new Error(`answered ${answer.status}`);
    const page = await answer.json();
    cursor = page.cursor;
    add(page.text);
    if (status.textContent.trim() !== page.status) showStatus(page);
    return page;
  }

  let isAimed = location.hash !== "";

  function aim() {
    if (isAimed) isAimed = !show();
  }

  function showStatus(page) {
    status.innerHTML = page.badge;
    failure.textContent = page.failure;
    failure.hidden = !page.failure;
  }

  async function sayStatus() {
    const answer = await askWeb(`${log.dataset.log}?limit=1`);
    if (answer.ok && !answer.redirected) showStatus(await answer.json());
  }

  // Reads on from the stream until the log is complete; false: it went away before.
  async function streams() {
    const { deployment, step } = log.dataset;
    const query = cursor ? { step, last_event_id: `0.${cursor}` } : { step };
    const source = await openStream(`/api/v1/deployments/${deployment}/stream`, query);
    lost.hidden = true;
    return new Promise((done) => {
      const leave = (isComplete) => {
        source.close();
        done(isComplete);
      };
      source.addEventListener("log", (event) => {
        const page = JSON.parse(event.data);
        cursor = page.next_cursor;
        add(page.items.map((each) => each.text).join(""));
        aim();
      });
      source.addEventListener("steps", (event) => {
        const mine = JSON.parse(event.data).items.find((each) => String(each.id) === step);
        if (mine && mine.status !== status.textContent.trim()) sayStatus().catch(() => {}); // it comes with what is read next
      });
      source.addEventListener("end", () => leave(true));
      source.addEventListener("cut", () => leave(false));
      source.addEventListener("error", () => leave(false));
      document.addEventListener("visibilitychange", () => leave(false), { once: true });
    });
  }

  async function follows() {
    let waits = 0;
    let streamAt = 0;
    for (;;) {
      await new Promise((done) => setTimeout(done, waits));
      try {
        if (!document.hidden && Date.now() >= streamAt) {
          streamAt = Date.now() + STREAM_AGAIN_MS;
          await streams();
        }
        const page = await readOn();
        lost.hidden = true;
        if (page.text) aim();
        if (page.complete) {
          if (page.pruned) empty.textContent = "What this wrote is older than logs are kept.";
          else if (!count) empty.textContent = "It wrote nothing.";
          break;
        }
        waits = page.text ? 0 : document.hidden ? HIDDEN_MS : FAST_MS;
        if (page.text && document.hidden) waits = FAST_MS;
      } catch {
        lost.hidden = false;
        waits = Math.min(10_000, Math.max(1000, waits * 2));
      }
    }
    follow.closest("label").hidden = true;
  }

  follows();
}

if (log) start();
