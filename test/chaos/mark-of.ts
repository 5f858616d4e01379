/** The mark of a stored text, if the text is whole: what no write has made is called torn. */
export function markOf(text: string): string {
  const found = /^\{"mark":"([^"]+)","pad":"(?:x*|renamed)"\}$/.exec(text);
  return found?.[1] ?? `torn:${text.slice(0, 60)}`;
}
