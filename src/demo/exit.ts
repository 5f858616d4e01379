/**
 * What must not outlive this process: child servers and their folders.
 *
 * Actions run once, newest first, when the process ends: on a normal exit, and on SIGINT, SIGTERM
 * or SIGHUP when nobody else listens for that signal (a program that listens ends by itself, and
 * its exit comes here). Actions are synchronous, because an exiting process waits for nothing.
 * SIGKILL runs no code at all: on Linux the kernel then kills the servers (see server-process.ts).
 */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const actions = new Set<() => void>();
let listening = false;

/** Runs `action` when this process ends. Returns a function that takes it back. */
export function atExit(action: () => void): () => void {
  if (!listening) listen();
  actions.add(action);
  return () => {
    actions.delete(action);
  };
}

function listen(): void {
  listening = true;
  process.on('exit', runAll);
  for (const signal of SIGNALS) process.on(signal, onSignal);
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  runAll();
  process.off(signal, onSignal);
  process.kill(process.pid, signal); // now with the default effect: the exit status is a signal's
}

function runAll(): void {
  const newestFirst = [...actions].reverse();
  actions.clear();
  for (const action of newestFirst) {
    try {
      action();
    } catch (error) {
      // The process is ending: there is nobody left to handle this, and others wait their turn.
      process.stderr.write(`tidemark: cleaning up failed: ${String(error)}\n`);
    }
  }
}
