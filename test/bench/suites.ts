/** All figures, by the names that `--only` takes, quick ones first. */
import { apply } from './apply.js';
import { bulk } from './bulk.js';
import { catchUp } from './catch-up.js';
import type { Figure, Rounds } from './figure.js';
import { fleet } from './fleet.js';
import { growth } from './growth.js';
import { httpHit } from './http-hit.js';
import { localHit } from './local-hit.js';
import { propagation, propagationPoll } from './propagation.js';
import { propagationBusy } from './propagation-busy.js';
import { redisHit } from './redis-hit.js';
import type { Stage } from './stage.js';
import { triggerCost, write } from './write.js';

export interface Suite {
  readonly name: string;
  /** Whether the database takes part, so that the figure is one per flavor. */
  readonly onEachFlavor: boolean;
  readonly run: (stage: Stage, rounds: Rounds, quick: boolean) => Promise<Figure[]>;
}

export const suites: readonly Suite[] = [
  { name: 'local-hit', onEachFlavor: false, run: localHit },
  { name: 'http-hit', onEachFlavor: false, run: httpHit },
  { name: 'redis-hit', onEachFlavor: false, run: redisHit },
  { name: 'apply', onEachFlavor: false, run: apply },
  { name: 'propagation', onEachFlavor: true, run: propagation },
  { name: 'propagation-poll', onEachFlavor: true, run: propagationPoll },
  { name: 'propagation-busy', onEachFlavor: true, run: propagationBusy },
  { name: 'catch-up', onEachFlavor: true, run: catchUp },
  { name: 'write', onEachFlavor: true, run: write },
  { name: 'trigger-cost', onEachFlavor: true, run: triggerCost },
  { name: 'fleet', onEachFlavor: true, run: fleet },
  { name: 'growth', onEachFlavor: true, run: growth },
  { name: 'bulk', onEachFlavor: true, run: bulk },
];
