/** All that can go wrong in a run. */
import type { Fault } from './fault.js';
import { mysqlFaults } from './faults-mysql.js';
import { networkFaults } from './faults-network.js';
import { clockFaults, processFaults } from './faults-process.js';
import { redisFaults } from './faults-redis.js';

export const FAULTS: readonly Fault[] = [
  ...networkFaults,
  ...processFaults,
  ...clockFaults,
  ...redisFaults,
  ...mysqlFaults,
];

/** Those of these names; a name ending in `*` stands for all that begin so.
 * @throws RangeError naming what is not known */
export function faultsNamed(names: readonly string[]): Fault[] {
  const matches = (name: string) =>
    FAULTS.filter((fault) =>
      name.endsWith('*') ? fault.name.startsWith(name.slice(0, -1)) : fault.name === name,
    );
  const unknown = names.filter((name) => matches(name).length === 0);
  if (unknown.length > 0) {
    const known = FAULTS.map(({ name }) => name).join(', ');
    throw new RangeError(`Expected faults among ${known}; got ${unknown.join(', ')}.`);
  }
  return names.flatMap(matches);
}
