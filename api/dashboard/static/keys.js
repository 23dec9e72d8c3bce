// Shortcuts: one letter, or g and a letter. Never while somebody types.
const PLACES = { d: "/", l: "/deployments", i: "/inbox", n: "/deploy" };
const dialog = document.querySelector("[data-help-dialog]");
const isLoggedIn = document.querySelector("[data-help]") !== null;
let goesSomewhere = false;

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

document.querySelector("[data-help]")?.addEventListener("click", () => dialog.showModal());

document.addEventListener("keydown", (event) => {
  if (!isLoggedIn || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (goesSomewhere && event.key in PLACES) {
    event.preventDefault();
    location.assign(PLACES[event.key]);
  } else if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "?") {
    event.preventDefault();
    if (!dialog.open) dialog.showModal();
  }
  goesSomewhere = event.key === "g";
});
