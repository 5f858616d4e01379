/** Text for a terminal. */

/** Keys can hold anything that SQL can write, but a terminal obeys control characters. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?');
}

/** At most so many characters, the last of them an ellipsis when there are more. */
export function cut(text: string, room: number): string {
  const characters = [...printable(text)];
  if (characters.length <= room) return characters.join('');
  return `${characters.slice(0, Math.max(0, room - 1)).join('')}…`;
}
