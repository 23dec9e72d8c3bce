// On a page that says that something was not done: what was typed for it (typed.js) is to be there again. It runs before there
// is anything to be pressed, for such a page may be left before it has loaded.
(() => {
  const kept = JSON.parse(sessionStorage.getItem("typed"));
  if (kept) sessionStorage.setItem("typed", JSON.stringify({ ...kept, isLost: true }));
})();
