/** The PromQL of examples/: where it is, and what it asks for. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { packageRoot } from '../../lib/core/package.ts';

export const ALERTS = fileURLToPath(new URL('examples/prometheus/alerts.yaml', packageRoot));
const DASHBOARD = new URL('examples/grafana/smtplb.json', packageRoot);

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One expression, by the name of its alert or the title of its panel. */
export interface Expression {
  readonly place: string;
  readonly expr: string;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: string | { readonly query: string } }[];
  };
}

export function alertRules(): Rule[] {
  const { groups } = parse(readFileSync(ALERTS, 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

export function dashboard(): Dashboard {
  return JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard;
}

/** What Grafana sends for the panels with everything selected, at a step of a minute. */
export function panelExpressions(): Expression[] {
  return dashboard().panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ place: title, expr: selected(expr) })),
  );
}

/** The series that the variables of the dashboard take their values from, and the label they read. */
export function variableExpressions(): (Expression & { readonly label: string })[] {
  return dashboard().templating.list.flatMap(({ name, query }) => {
    const text = typeof query === 'string' ? query : query.query;
    const [, expr, label] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? [];
    return expr === undefined || label === undefined
      ? []
      : [{ place: `variable ${name}`, expr: selected(expr), label }];
  });
}

export function annotationExpressions(): Expression[] {
  return dashboard().annotations.list.map(({ name, expr }) => ({
    place: `annotation ${name}`,
    expr: selected(expr),
  }));
}

function selected(expr: string): string {
  return expr.replaceAll('$__rate_interval', '1m').replace(/\$\w+/g, '.*');
}

export interface Asked {
  /** Names of metrics, and the labels that are compared on each. */
  readonly metrics: ReadonlyMap<string, ReadonlySet<string>>;
  /** Labels that results are grouped by. */
  readonly groupedBy: ReadonlySet<string>;
}

const WORDS = new Set(['or', 'and', 'unless', 'offset', 'bool']);

/** As much of PromQL as is used here: enough to find every name of a metric and of a label. */
export function asked(expr: string): Asked {
  const metrics = new Map<string, Set<string>>();
  const note = (name: string, labels: readonly string[]): string => {
    metrics.set(name, new Set([...(metrics.get(name) ?? []), ...labels]));
    return ' ';
  };
  const groupedBy = new Set<string>();
  const rest = expr
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g, (_, labels: string) => {
      for (const label of labels.split(',')) groupedBy.add(label.trim());
      return ' ';
    })
    .replace(/\[[^\]]*\]|\b\d+(?:\.\d+)?[a-z]*\b/g, ' ')
    .replace(/([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}/g, (_, name: string, inner: string) =>
      note(
        name,
        Array.from(inner.matchAll(/(\w+)\s*[=!]/g), ([, label = '']) => label),
      ),
    );
  for (const [, name = ''] of rest.matchAll(/([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])/g))
    if (!WORDS.has(name)) note(name, []);
  return { metrics, groupedBy };
}
