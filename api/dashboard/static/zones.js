// The zone of whoever looks: one to show a calendar in, and the first that a new rule is in.
const { timeZone } = Intl.DateTimeFormat().resolvedOptions();

const shown = document.querySelector("[data-viewer-zone]");
if (shown && timeZone && ![...shown.options].some((each) => each.value === timeZone)) {
  shown.add(new Option(`${timeZone} (yours)`, timeZone));
}

const written = document.querySelector("[data-own-zone]");
if (written && timeZone) written.value = timeZone;
