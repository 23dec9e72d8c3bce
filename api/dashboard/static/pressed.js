// What somebody presses stays where it is until they let go: if it moved meanwhile, the browser would take that for no click.
const LONGEST_MS = 5000; // a list that opens keeps to itself that they have let go
const CLICK_MS = 100; // after a finger is up its tap becomes a click
const swap = htmx.swap.bind(htmx);
let isLetGo = Promise.resolve();

export const letGo = () => isLetGo;

function hold() {
  isLetGo = new Promise((done) => {
    for (const name of ["pointerup", "pointercancel"]) {
      addEventListener(name, () => setTimeout(done, CLICK_MS), { capture: true, once: true });
    }
    setTimeout(done, LONGEST_MS);
  });
}

addEventListener("pointerdown", hold, { capture: true });

htmx.swap = async (...what) => {
  await letGo();
  return swap(...what);
};
