/** What the help of each command shows at its end. */

export const EXAMPLES = `
Examples:
  $ tidemark demo                       both data centers on this machine, to try it
  $ MYSQL_A_URL=mysql://root:secret@db-a/app tidemark migrate --dry-run
  $ tidemark track app_settings --key id --value name,value --collection settings
  $ MYSQL_A_URL=mysql://app:secret@db-a/app tidemark write --port 8080
  $ MYSQL_B_URL=mysql://reader:secret@db-b/app REDIS_URL=redis://cache-b tidemark read
  $ tidemark doctor                     what is wrong, with all three URLs in the environment
  $ tidemark status                     who reads in data center B, and how far each one is

Every flag of a command can be set in the environment. Prefer that for URLs and tokens: flags
show in the list of processes.`;

const BY_COMMAND: Readonly<Record<string, readonly string[]>> = {
  migrate: [
    'tidemark migrate --dry-run            # the SQL that would run',
    'tidemark migrate',
    'tidemark migrate --to 2               # takes the triggers down again',
    'tidemark migrate --json',
  ],
  track: [
    'tidemark track app_settings --key id --value name,value --collection settings',
    'tidemark track flags --key scope,name --value json --dry-run',
    "tidemark track flags --key name --value json --json | jq '.refusals[].remedy'",
  ],
  write: [
    'WRITE_TOKENS=secret tidemark write --host 0.0.0.0 --port 8080',
    'tidemark write --hint-urls http://web-1:8081,http://web-2:8081',
  ],
  read: [
    'tidemark read --port 8081 --advertise-url http://web-1:8081',
    'POLL_INTERVAL_MS=50 tidemark read',
  ],
  doctor: ['tidemark doctor', 'tidemark doctor --json | jq .counts'],
  status: [
    'tidemark status                       # live, in a terminal',
    'tidemark status --once',
    "tidemark status --json | jq '.readers[] | select(.lag > 0)'",
  ],
  verify: [
    'tidemark verify                       # exit code 1 when something differs',
    'READ_TOKENS=secret tidemark verify --json',
  ],
  prune: ['tidemark prune --older-than-hours 6 --dry-run', 'tidemark prune --keep-versions 100000'],
  rebase: ['tidemark rebase                       # asks first', 'tidemark rebase --yes --json'],
  demo: [
    'tidemark demo',
    'tidemark demo --flavor mariadb --readers 4',
    'tidemark demo --json                  # for programs; SIGTERM ends it',
  ],
  completion: [
    'source <(tidemark completion bash)    # in ~/.bashrc',
    'source <(tidemark completion zsh)     # in ~/.zshrc',
    'tidemark completion fish > ~/.config/fish/completions/tidemark.fish',
  ],
};

export function examplesOf(command: string): string {
  const lines = (BY_COMMAND[command] ?? []).map((line) => `  $ ${line}`);
  return ['', 'Examples:', ...lines].join('\n');
}
