// Shortcuts: one letter, or g and a letter. Never while somebody types.
const dialog = document.querySelector("[data-help-dialog]");
const places = new Map([...dialog.querySelectorAll("[data-key]")].map((each) => [each.dataset.key, each.href]));
const isLoggedIn = document.querySelector("[data-help]") !== null;
let goesSomewhere = false;

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

document.querySelector("[data-help]")?.addEventListener("click", () => dialog.showModal());

if (location.hash === "#q") document.querySelector("#q")?.focus();

document.addEventListener("keydown", (event) => {
  if (!isLoggedIn || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (goesSomewhere && places.has(event.key)) {
    event.preventDefault();
    location.assign(places.get(event.key));
  } else if (event.key === "/") {
    event.preventDefault();
    const search = document.querySelector("[data-search]");
    search?.focus();
    search?.select();
    if (!search) location.assign("/#q");
  } else if (event.key === "?") {
    event.preventDefault();
    if (!dialog.open) dialog.showModal();
  }
  goesSomewhere = event.key === "g";
});
