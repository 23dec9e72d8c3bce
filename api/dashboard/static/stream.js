// The way to the stream process: a ticket from web, then Server-Sent Events. It may be under another origin.
export async function openStream(path, query) {
  const answer = await fetch("/live/ticket");
  if (!answer.ok || answer.redirected) throw new Error(`no ticket: ${answer.status}`);
  const { origin, ticket } = await answer.json();
  return new EventSource(`${origin}${path}?${new URLSearchParams({ ...query, ticket })}`);
}
