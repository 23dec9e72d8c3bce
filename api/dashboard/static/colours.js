// A line as a step wrote it for a terminal: colours and bold letters are kept, and all else that steers one is left out.
const STEERS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const ESCAPES =
  /\x1b\[(?<codes>[\d;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[\x80-\x9f]|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f]/g;
const REORDERS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const NAMES = ["grey", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

function change(style, codes) {
  for (const code of codes.split(/[;:]/).map(Number)) {
    if (code === 0) Object.assign(style, { colour: "", isBold: false });
    else if (code === 1) style.isBold = true;
    else if (code === 22) style.isBold = false;
    else if (code === 39) style.colour = "";
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) style.colour = NAMES[code % 10];
    else if (code === 38 || code === 48) return; // of 256 and more: what follows says which
  }
}

function piece(text, { colour, isBold }) {
  const shown = text.replace(REORDERS, (each) => `\\u${each.charCodeAt(0).toString(16)}`);
  if (!colour && !isBold) return shown;
  const made = document.createElement("span");
  made.className = [colour && `ink-${colour}`, isBold && "ink-bold"].filter(Boolean).join(" ");
  made.textContent = shown;
  return made;
}

export function paint(row, text) {
  if (!STEERS.test(text)) {
    row.textContent = text;
    return;
  }
  const style = { colour: "", isBold: false };
  const made = [];
  let done = 0;
  for (const found of text.matchAll(ESCAPES)) {
    if (found.index > done) made.push(piece(text.slice(done, found.index), style));
    done = found.index + found[0].length;
    if (found.groups.codes !== undefined) change(style, found.groups.codes);
  }
  if (done < text.length) made.push(piece(text.slice(done), style));
  row.replaceChildren(...made);
}
