/**
 * The protocol as a model, small enough to look at every interleaving (within bounds) of reads,
 * fills, turns and faults. The simulation runs the real code along some paths; this runs the idea
 * along all of them. A change of the protocol changes this file first.
 *
 * The log is a list of changes, version = index + 1, each with an id that no other history reuses.
 * The value of a key is the id of its last change. What is checked:
 * - prompt and monotonic: a read shows nothing older than the position its instance had when it
 *   began, nor than what that instance had shown before;
 * - convergence: once every instance and Redis are at the head and nothing is in flight, every
 *   entry that could answer a read is the truth.
 */
import { type ModelOptions, startOf } from './model-state.js';
import { Steps } from './model-steps.js';

export interface ModelResult {
  readonly states: number;
  /** The steps to the first violation, and what it is. */
  readonly violation: string | undefined;
}

/** Looks at every reachable state. */
export function explore(options: ModelOptions): ModelResult {
  const start = startOf(options);
  const from = new Map<string, readonly [string, string]>();
  const first = JSON.stringify(start);
  from.set(first, ['', 'start']);
  const open = [first];
  for (let text = open.pop(); text !== undefined; text = open.pop()) {
    for (const [name, state, fault] of new Steps(JSON.parse(text), options).all()) {
      const next = JSON.stringify(state);
      if (fault !== undefined) {
        return { states: from.size, violation: `${fault}\n${pathTo(text, from)}\n${name}` };
      }
      if (from.has(next)) continue;
      from.set(next, [text, name]);
      open.push(next);
    }
  }
  return { states: from.size, violation: undefined };
}

function pathTo(text: string, from: Map<string, readonly [string, string]>): string {
  const names: string[] = [];
  for (let step = from.get(text); step !== undefined; step = from.get(step[0])) {
    names.unshift(step[1]);
  }
  return names.join('\n');
}
