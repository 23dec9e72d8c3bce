// What somebody typed is there again when its form was refused, or came after the session had ended, and they come back to
// the page: for who typed it, in this tab, within the hour. Never a password, nor a name that is typed to confirm something.
// With it comes back what it was typed on top of (data-typed), so that nothing newer is overwritten unseen.
import { isBox, isFilledIn } from "./fields.js";

const KEY = "typed";
const LONGEST_MS = 3_600_000;
const NOT_KEPT = "[type=hidden]:not([data-typed]), [type=password], [name=confirm], button";
const who = document.querySelector(".who")?.textContent;
const page = location.pathname + location.search;

function alike(action) {
  return [...document.forms].filter((each) => each.getAttribute("action") === action);
}

function read(form) {
  const action = form.getAttribute("action");
  const fields = [...form.elements]
    .map((field, place) => ({ field, place }))
    .filter(({ field }) => field.name && !field.matches(NOT_KEPT));
  const isTyped = fields.some(({ field }) => isFilledIn(field));
  const values = fields
    .filter(({ field }) => isTyped && (isFilledIn(field) || field.type === "hidden"))
    .map(({ field, place }) => ({ place, name: field.name, value: isBox(field) ? field.checked : field.value }));
  return { action, nth: alike(action).indexOf(form), values };
}

function keep(forms) {
  const found = forms.map(read).filter((each) => each.values.length);
  if (who && found.length) put({ who, page, at: Date.now(), forms: found, isLost: false });
}

function put(kept) {
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}

function fill({ action, nth, values }) {
  const form = alike(action)[nth];
  if (!form) return;
  for (const { place, name, value } of values) {
    const field = form.elements[place];
    if (field?.name !== name) continue;
    if (isBox(field)) field.checked = value;
    else field.value = value;
  }
  for (let around = form.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

// Every page but these says that the form did what it was for: the login, one that says no (lost.js has noted that on both),
// and one that was gone back to.
function comeBack() {
  const kept = JSON.parse(sessionStorage.getItem(KEY));
  if (!kept) return;
  const isBack = performance.getEntriesByType("navigation")[0]?.type === "back_forward";
  const isOld = Date.now() - kept.at > LONGEST_MS;
  if ((kept.isLost || isBack) && !isOld && kept.who === who) {
    if (kept.page !== page) return;
    kept.forms.forEach(fill);
  }
  sessionStorage.removeItem(KEY);
}

if (who && !document.querySelector("[data-refused]")) addEventListener("load", comeBack); // htmx listens by then
// Whatever leads away: a form that was sent, or a part of the page that was asked for and led to the login.
addEventListener("pagehide", () => keep([...document.forms].filter((each) => each.method === "post")));
