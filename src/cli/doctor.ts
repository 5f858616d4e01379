/** `tidemark doctor`: says what is wrong with a system, and how to put it right. */
import pico from 'picocolors';
import { parseCollections } from '../core/collections-text.js';
import { examineSystem } from '../doctor/doctor.js';
import { countsOf, reportJson, reportText } from '../doctor/report.js';
import type { SettingsOf } from '../env.js';
import { InvalidOptionsError } from '../errors.js';

export interface DoctorCommandOptions {
  readonly settings: SettingsOf<'doctor'>;
  readonly json?: boolean | undefined;
  /** Takes a line without its end. */
  readonly print?: (line: string) => void;
}

const DEFAULT_COLUMNS = 100;
const MOST_COLUMNS = 120;

/** @returns whether the system is sound: no fault was found
 * @throws InvalidOptionsError when there is no URL at all */
export async function doctorCommand(options: DoctorCommandOptions): Promise<boolean> {
  const { settings, json = false, print = (line) => process.stdout.write(`${line}\n`) } = options;
  const { mysqlAUrl, mysqlBUrl, redisUrl } = settings;
  if ([mysqlAUrl, mysqlBUrl, redisUrl].every((url) => url === undefined)) {
    throw new InvalidOptionsError([
      'Expected at least one of MYSQL_A_URL, MYSQL_B_URL and REDIS_URL, got none',
    ]);
  }
  const findings = await examineSystem({
    ...{ mysqlAUrl, mysqlBUrl, redisUrl },
    settings: { ...settings, collections: parseCollections(settings.collections, settings) },
  });
  const columns = Math.min(process.stdout.columns ?? DEFAULT_COLUMNS, MOST_COLUMNS);
  print(json ? reportJson(findings) : reportText(findings, columns, pico));
  return countsOf(findings).fault === 0;
}
