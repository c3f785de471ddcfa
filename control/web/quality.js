// What all viewers of a stream report, as small bar charts: one bar a bucket, taller for more.
import { element, number } from './format.js';

// From warn on a viewer notices; from bad on it is no pleasure.
const KINDS = [
  { name: 'loss_percent', title: 'Loss', unit: '%', of: 'reports', warn: 2, bad: 10 },
  { name: 'rtt_ms', title: 'Round trip', unit: 'ms', of: 'reports', warn: 150, bad: 300 },
  { name: 'jitter_ms', title: 'Jitter', unit: 'ms', of: 'reports', warn: 30, bad: 100 },
  { name: 'first_packet_ms', title: 'First packet', unit: 'ms', of: 'viewers', warn: 500, bad: 1000 },
];
const SVG = 'http://www.w3.org/2000/svg';
const BAR = 10;
const GAP = 2;
const HEIGHT = 36;

function tone(kind, from) {
  return from >= kind.bad ? 'bad' : from >= kind.warn ? 'warn' : 'good';
}

function shape(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);

  for (const [attribute, value] of Object.entries(attributes)) {
    node.setAttribute(attribute, value);
  }
  node.append(...children);
  return node;
}

// No line break within.
function amount(kind, value) {
  return kind.unit === 'ms' && value >= 1000 ? `${number(value / 1000, 1)}\u00a0s`
    : `${number(value, value < 10 ? 1 : 0)}\u00a0${kind.unit}`;
}

function rangeText(kind, upTo, i) {
  if (i === upTo.length) {
    return `over ${amount(kind, upTo.at(-1))}`;
  }
  return upTo[i] === 0 ? 'none' : `up to ${amount(kind, upTo[i])}`;
}

function bars(kind, shares) {
  const top = Math.max(...shares.counts, 1);

  return shares.counts.map((n, i) => {
    const height = n ? Math.max(n / top * HEIGHT, 2) : 1;

    return shape('rect', {
      x: i * BAR,
      y: HEIGHT - height,
      width: BAR - GAP,
      height,
      rx: 1,
      class: n ? tone(kind, i ? shares.up_to[i - 1] : 0) : 'none',
    }, shape('title', {}, `${rangeText(kind, shares.up_to, i)}: ${number(n)} ${kind.of}`));
  });
}

function chart(kind, shares) {
  const most = `95\u00a0% have at most ${amount(kind, shares.p95)}`;
  const svg = shape('svg', {
    viewBox: `0 0 ${shares.counts.length * BAR - GAP} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': `${kind.title}: ${most}, half at most ${amount(kind, shares.p50)}`,
  }, ...bars(kind, shares));

  return element('figure', { class: 'chart', title: most },
    element('figcaption', {}, kind.title,
      element('b', { class: tone(kind, shares.p95) }, amount(kind, shares.p95))),
    svg,
    element('p', { class: 'scale', 'aria-hidden': 'true' },
      element('span', {}, number(shares.up_to[0])),
      element('span', {}, amount(kind, shares.up_to.at(-1)))));
}

// The picture's, unless there is none.
function legOf(quality) {
  const { video, audio } = quality ?? {};

  return video?.reports || video?.first_packet_ms || !audio ? video : audio;
}

// Charts of one stream's quality as the API has it; none while nobody reports.
export function qualityCharts(quality) {
  const leg = legOf(quality);

  return KINDS.filter((kind) => leg?.[kind.name]).map((kind) => chart(kind, leg[kind.name]));
}

// What is behind the charts, in a line.
export function qualityText(quality) {
  const leg = legOf(quality);
  const missed = leg?.repair_missed_percent?.p95 ?? 0;

  if (!leg?.reports) {
    return '';
  }
  return `${number(leg.reports, 0)} reports of the last seconds; the number is what 95\u00a0% of them have at most` +
    (missed > 0 ? `; up to ${number(missed, 1)}\u00a0% of what viewers asked for again was not sent` : '');
}
