/** Base URLs of apps: http or https, and nothing in them that is secret or that a path cannot follow. */
export function isPlainHttpUrl(text: string): boolean {
  if (text.length > 2_000 || !URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === '';
}
