// What somebody has opened or closed stays so when the page renews itself.
const chosen = new WeakSet();

document.addEventListener("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details) chosen.add(details);
});

htmx.registerExtension("opened", {
  htmx_before_morph_attr: (element, { attrName }) => attrName !== "open" || !chosen.has(element),
});
