/** SQL's LIKE, as grants and replication filters use it: `%`, `_`, and `\` before one to be taken
 * as it is. */
export function isLike(pattern: string, text: string): boolean {
  const source = pattern.replaceAll(/\\([%_\\])|([%_])|([^\w])/g, (_, escaped, wild, other) => {
    if (wild !== undefined) return wild === '%' ? '.*' : '.';
    const char = escaped ?? other;
    return /\w/.test(char) ? char : `\\${char}`;
  });
  return new RegExp(`^${source}$`, 's').test(text);
}
