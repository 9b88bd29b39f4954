/** Panels of a Grafana dashboard, from short descriptions to Grafana's JSON. Pure. */

/** A panel without number and position. */
export type Panel = Readonly<{ type: string; width: number; height: number; rest: object }>;

/** Places panels from left to right, as many per line as fit. */
export function placed(panels: readonly Panel[]): readonly object[] {
  let [x, y, lineHeight] = [0, 0, 0];
  return panels.map(({ type, width, height, rest }, at) => {
    if (x + width > COLUMNS) [x, y] = [0, y + lineHeight];
    const gridPos = { x, y, w: width, h: height };
    [x, lineHeight] = [x + width, height];
    return { id: at + 1, type, gridPos, ...rest };
  });
}

export const row = (title: string): Panel => ({
  type: 'row',
  width: COLUMNS,
  height: 1,
  rest: { title, collapsed: false, panels: [] },
});

/** One number; `colors`: the value from which each applies. */
export function stat(
  title: string,
  description: string,
  query: string,
  colors: Readonly<Record<string, number>> = {},
  { unit, lowest }: Readonly<{ unit: string; lowest: string }> = { unit: 'short', lowest: 'green' },
): Panel {
  const steps = [{ color: lowest, value: null }, ...Object.entries(colors).map(([color, value]) => ({ color, value }))];
  const defaults = { unit, color: { mode: 'thresholds' }, thresholds: { mode: 'absolute', steps }, mappings: [] };
  const options = {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    colorMode: 'value',
    graphMode: 'none',
    justifyMode: 'auto',
    orientation: 'auto',
    textMode: 'auto',
    wideLayout: true,
    showPercentChange: false,
    percentChangeColorMode: 'standard',
  };
  return panel('stat', { title, description, defaults, options, targets: [target({ query, instant: true })] }, 4, 4);
}

type SeriesOptions = Readonly<{ unit?: string; width?: number; stacked?: boolean }>;

/** Curves over time; `queries` by how each is called. What is planned, or the most that may be, is dashed. */
export function series(
  title: string,
  description: string,
  queries: Readonly<Record<string, string>>,
  { unit = 'short', width = 12, stacked = false }: SeriesOptions = {},
): Panel {
  const targets = Object.entries(queries).map(([legend, query], at) => target({ query, legend, at }));
  const overrides = targets
    .filter(({ legendFormat }) => /, (planned|at most)$/.test(legendFormat))
    .map(({ refId }) => ({ matcher: { id: 'byFrameRefID', options: refId }, properties: DASHED }));
  const custom = {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: stacked ? 30 : 8,
    showPoints: 'never',
    spanNulls: false,
    stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
  };
  const options = {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'multi', sort: 'desc' },
  };
  const defaults = { unit, min: 0, color: { mode: 'palette-classic' }, custom };
  return panel('timeseries', { title, description, defaults, overrides, options, targets }, width, 8);
}

/** What is so now, the largest first. */
export function table(
  title: string,
  description: string,
  query: string,
  { unit = 'short' }: SeriesOptions = {},
): Panel {
  const defaults = { unit, custom: { align: 'auto', filterable: true } };
  const options = { frameIndex: 0, showHeader: true, cellHeight: 'sm', sortBy: [{ displayName: 'Value', desc: true }] };
  const excludeByName = { Time: true, __name__: true, job: true };
  const transformations = [{ id: 'organize', options: { excludeByName, indexByName: {}, renameByName: {} } }];
  const targets = [{ ...target({ query, instant: true }), format: 'table' }];
  return panel('table', { title, description, defaults, options, targets, transformations }, 12, 8);
}

const COLUMNS = 24;
const SOURCE = { type: 'prometheus', uid: '$datasource' };
const DASHED = [
  { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 6] } },
  { id: 'custom.fillOpacity', value: 0 },
];

type Asked = Readonly<{ query: string; legend?: string; at?: number; instant?: boolean }>;

const target = ({ query, legend = '', at = 0, instant = false }: Asked) => ({
  refId: String.fromCharCode(65 + at),
  datasource: SOURCE,
  editorMode: 'code',
  expr: query,
  legendFormat: legend,
  instant,
  range: !instant,
});

type Shown = Readonly<{
  title: string;
  description: string;
  defaults: object;
  overrides?: readonly object[];
  options: object;
}>;

function panel(
  type: string,
  {
    defaults,
    overrides = [],
    ...rest
  }: Shown & Readonly<{ targets: readonly object[]; transformations?: readonly object[] }>,
  width: number,
  height: number,
): Panel {
  return { type, width, height, rest: { ...rest, datasource: SOURCE, fieldConfig: { defaults, overrides } } };
}
