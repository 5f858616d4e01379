/** The metrics of several registries as one text: those of one name stand together, as they must. */
import { AggregatorRegistry, Registry } from 'prom-client';

/** The part of a registry that is served. */
export type MetricsText = Pick<Registry, 'contentType' | 'metrics'>;

/** @param alike registries with the same metrics, each with a label of its own
 * @param more a registry with others */
export function mergedMetrics(alike: readonly Registry[], more?: Registry): MetricsText {
  return {
    contentType: Registry.PROMETHEUS_CONTENT_TYPE,
    metrics: async () => {
      const texts = [await textOf(alike), (await more?.metrics()) ?? ''];
      return texts.filter((text) => text !== '').join('\n');
    },
  };
}

async function textOf(alike: readonly Registry[]): Promise<string> {
  const [only] = alike;
  if (only !== undefined && alike.length === 1) return await only.metrics();
  const all = await Promise.all(alike.map((one) => one.getMetricsAsJSON()));
  return await AggregatorRegistry.aggregate(all).metrics();
}
