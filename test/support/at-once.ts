/** A scheduler that holds nothing back: the simulation's fakes answer at once. */
import { Scheduler } from '../simulation/scheduler.js';

export class AtOnce extends Scheduler {
  override step(): Promise<void> {
    return Promise.resolve();
  }
}
