// Instants as "3 min ago", beside their title, which is exact.
const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86_400, 3600, "h"],
  [Infinity, 86_400, "d"],
];

function ago(seconds) {
  const size = Math.abs(seconds);
  if (size < 5) return "now";
  const [, unit, name] = STEPS.find(([end]) => size < end);
  const count = `${Math.floor(size / unit)} ${name}`;
  return seconds < 0 ? `in ${count}` : `${count} ago`;
}

export function sayAges() {
  const now = Date.now();
  for (const each of document.querySelectorAll("time[data-ago]")) {
    const text = ago((now - Date.parse(each.dateTime)) / 1000);
    if (each.textContent !== text) each.textContent = text;
  }
}
