/** The dashboard as Grafana would load it, and the expressions of its panels. */
import { readFileSync } from 'node:fs';

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: { readonly uid: string };
  }[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly time: { readonly from: string; readonly to: string };
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly query: unknown;
    }[];
  };
  readonly panels: readonly Panel[];
}

const FILE = new URL('../../ops/grafana-dashboard.json', import.meta.url);

export function dashboard(): Dashboard {
  return JSON.parse(readFileSync(FILE, 'utf8'));
}

/** Each expression with the title of its panel; variables as Grafana would fill them in. */
export function expressions(rateInterval: string): { panel: string; expr: string }[] {
  return dashboard().panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      expr: expr.replaceAll('$__rate_interval', rateInterval).replaceAll('$instance', '.*'),
    })),
  );
}

/** The metrics of Tidemark that a text names; of a histogram, by its own name. */
export function metricsIn(text: string): string[] {
  const names = text.match(/\btidemark_[a-z_]+/g) ?? [];
  return names.map((name) => name.replace(/_(bucket|sum|count)$/, ''));
}

/** Whether it is of a part that a reader can be without, the auditor or the roster, and is. */
export function isOfAbsentPart(name: string, known: Iterable<string>): boolean {
  const [part] = /^tidemark_(audit|roster)_/.exec(name) ?? [];
  return part !== undefined && ![...known].some((one) => one.startsWith(part));
}
