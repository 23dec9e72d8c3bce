// Loaded before the page is drawn, so that it is not drawn in the wrong colours first.
(() => {
  const kept = localStorage.getItem("theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  document.documentElement.classList.add("with-scripts");
})();
