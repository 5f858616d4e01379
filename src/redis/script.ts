/** The Lua scripts, which stand beside this file, each with its contract at its head. */
import { readFileSync } from 'node:fs';

export type ScriptName = 'apply' | 'fill' | 'begin' | 'scan' | 'announce';

export function scriptText(name: ScriptName): string {
  return readFileSync(new URL(`./${name}.lua`, import.meta.url), 'utf8');
}
