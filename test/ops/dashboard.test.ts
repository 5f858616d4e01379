/** The dashboard holds what Grafana needs to load it, and names only metrics that there are. */
import { expect, test } from 'vitest';
import { dashboard, expressions, isOfAbsentPart, metricsIn } from '../support/dashboard.js';
import { registriesOfAll } from '../support/registries.js';

const { panels, templating, ...head } = dashboard();
const graphs = panels.filter(({ type }) => type !== 'row');

test('it has a schema, a name that links can keep to, and a time', () => {
  expect(head).toMatchObject({ uid: 'tidemark', title: 'Tidemark', time: { to: 'now' } });
  expect(head.schemaVersion).toBeGreaterThanOrEqual(36); // from there on, a data source is an object
});

test('its data source is a variable, so that it loads anywhere', () => {
  const [source, instance] = templating.list;
  expect(source).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
  expect(instance).toMatchObject({ name: 'instance', type: 'query', multi: true });
  for (const { datasource, targets = [] } of graphs) {
    for (const one of [datasource, ...targets.map((target) => target.datasource)]) {
      expect(one).toEqual({ type: 'prometheus', uid: '$' + '{datasource}' });
    }
  }
});

test('panels have ids and titles of their own, and say what they show', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
  for (const { title, description, targets = [] } of graphs) {
    expect(description, title).toMatch(/\.$/);
    expect(targets.length, title).toBeGreaterThan(0);
    expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
  }
});

test('panels stand on the grid of 24 columns, and none on another', () => {
  const taken = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    const { x, y, w, h } = gridPos;
    expect(x + w, title).toBeLessThanOrEqual(24);
    for (let column = x; column < x + w; column += 1) {
      for (let line = y; line < y + h; line += 1) {
        const place = `${column},${line}`;
        expect(taken.get(place), `${title} at ${place}`).toBeUndefined();
        taken.set(place, title);
      }
    }
  }
});

test('it shows every metric that there is, and no other', () => {
  const registries = Object.values(registriesOfAll());
  const metrics = registries.flatMap((registry) => registry.getMetricsAsArray());
  const names = metrics.map(({ name }) => name);
  const shown = [...new Set(expressions('1m').flatMap(({ expr }) => metricsIn(expr)))];
  const ofThese = shown.filter((name) => !isOfAbsentPart(name, names));
  expect(ofThese.toSorted()).toEqual(names.toSorted());
});
