import { h, put, say, svg } from './dom.js';

const WIDTH = 300;
const HEIGHT = 56;

/**
 * A tile: figures now, and their last ten minutes. Each line is `{ of, word, gauge, loud, stepMs }`: what of the
 * series it shows, the word beside its figure, and whether a figure above zero is worth a colour. The second line is
 * dashed. Plots are as high as their highest value, which `format` writes at the top.
 */
export function plot(title, lines, format) {
  const peak = h('span', { class: 'peak' });
  const parts = lines.map((line, at) => ({
    ...line,
    figure: h('span', { class: 'figure' }),
    area: svg('path', { class: `area line-${at + 1}` }),
    stroke: svg('path', { class: `stroke line-${at + 1}` }),
  }));
  const minutes = [2, 4, 6, 8].map(minute => {
    const x = (WIDTH * minute) / 10;
    return svg('path', { class: 'minute', d: `M${x} 0V${HEIGHT}` });
  });
  const drawing = svg(
    'svg',
    { class: 'plot', viewBox: `0 -2 ${WIDTH} ${HEIGHT + 3}`, preserveAspectRatio: 'none', role: 'img' },
    ...minutes,
    svg('path', { class: 'ground', d: `M0 ${HEIGHT}H${WIDTH}` }),
    ...parts.flatMap(({ area, stroke }) => [area, stroke]),
  );
  const figures = parts.map(({ figure, word }, at) =>
    h('span', {}, figure, ' ', h('span', { class: `unit line-${at + 1}` }, word)),
  );
  const element = h(
    'figure',
    { class: 'tile' },
    h(
      'figcaption',
      {},
      h('span', { class: 'title' }, title),
      peak,
      h('span', { class: 'figures-now' }, ...figures),
    ),
    drawing,
    h(
      'div',
      { class: 'plot-axis', 'aria-hidden': 'true' },
      h('span', {}, '10 min ago'),
      h('span', {}, 'now'),
    ),
  );

  return {
    element,
    /** The figures now, in the order of the lines: `[number, text]`. */
    update(series, values) {
      parts.forEach(({ figure, loud }, at) => {
        const [number, text] = values[at];
        say(figure, text);
        put(figure, 'data-loud', loud && number > 0 ? 'yes' : null);
      });
      const curves = parts.map(({ gauge, of, stepMs }) => series.curve(of, gauge, stepMs));
      const highest = Math.max(0, ...curves.flat().map(([, y]) => y));
      parts.forEach(({ area, stroke }, at) => {
        const points = curves[at].map(([x, y]) => [
          (x * WIDTH).toFixed(1),
          (HEIGHT - (highest === 0 ? 0 : y / highest) * HEIGHT).toFixed(1),
        ]);
        const way = points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x} ${y}`).join('');
        put(stroke, 'd', way);
        put(area, 'd', way === '' ? '' : `${way}V${HEIGHT}H${points[0][0]}Z`);
      });
      say(peak, highest === 0 ? '' : `peak ${format(highest)}`);
      put(drawing, 'aria-label', `${title} over the last ten minutes, peak ${format(highest)}`);
    },
  };
}
