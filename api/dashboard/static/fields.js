// What somebody has done to a field of a form since the page came.
export const isBox = (field) => field.type === "checkbox" || field.type === "radio";

export function isFilledIn(field) {
  if (isBox(field)) return field.checked !== field.defaultChecked;
  if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
  const first = [...field.options].find((each) => each.defaultSelected) ?? field.options[0];
  return field.value !== first?.value;
}
