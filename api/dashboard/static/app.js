import "./keys.js";
import "./live.js";
import "./log.js";
import "./opened.js";
import "./pressed.js";
import "./renewing.js";
import { sayAges } from "./times.js";
import "./typed.js";
import "./zones.js";

const title = document.title;

// Who has many tabs sees in each how its deployment stands.
function sayStatus() {
  const status = document.querySelector("#head .big .status");
  if (status) document.title = `${status.textContent.trim()} · ${title}`;
}

sayAges();
sayStatus();
setInterval(sayAges, 10_000);
document.addEventListener("htmx:after:swap", () => {
  sayAges();
  sayStatus();
});

// A menu closes when something else is clicked, or with Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open], details.drop[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open], details.drop[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
