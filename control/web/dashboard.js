// The dashboard: streams and data plane, read once a second.
import { apiKey, ask } from './credentials.js';
import { age, bits, count, element, number } from './format.js';
import { qualityCharts, qualityText } from './quality.js';

const REFRESH_MS = 1000;
const FETCH_TIMEOUT_MS = 4000;
const HISTORY = 60;
const SVG = 'http://www.w3.org/2000/svg';

// Bit rates of the last minute, by stream.
const history = new Map();
const cards = new Map();

const key = apiKey();
let refused = null; // the key that was not good

const $ = (id) => document.getElementById(id);

// The server wants a key, or another one.
class KeyNeeded extends Error {}

async function getJson(path) {
  const answer = await fetch(path, {
    headers: { Accept: 'application/json', ...key.headers() },
    cache: 'no-store',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
  });

  if (answer.status === 401 || answer.status === 403) {
    throw new KeyNeeded((await answer.text()).trim());
  }
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  }
  return answer.json();
}

// Of the source that plays; the rest stands by.
function playingLegs(stream) {
  return (stream.source?.active === 'backup' ? stream.backup?.legs : stream.legs) ?? {};
}

// All sources' legs, by what to call them.
function allLegs(stream) {
  const backup = Object.entries(stream.backup?.legs ?? {}).map(([kind, leg]) => [`backup ${kind}`, leg]);

  return [...Object.entries(stream.legs ?? {}), ...backup].filter(([, leg]) => leg);
}

const WHY = {
  silence: 'the other fell silent',
  hand: 'by hand',
  failback: 'the primary came back',
  removed: 'the backup was removed',
};

function sourceText(stream) {
  const { active, pick, switched_ms: agoMs, switched_by: why } = stream.source ?? {};

  if (!stream.backup) {
    return '';
  }
  return [
    `${active} plays${pick === 'auto' ? '' : ', as picked'}`,
    agoMs !== null && `took over ${age(agoMs / 1000)} ago: ${WHY[why] ?? why}`,
  ].filter(Boolean).join('; ');
}

function streamBits(stream) {
  return Object.values(playingLegs(stream)).reduce((sum, leg) => sum + (leg.bitrate_bps ?? 0), 0);
}

// Up, down, or something between that deserves attention.
function mood(leg) {
  if (leg.problems?.length) {
    return 'warn';
  }
  return ['up', 'live', 'active', 'running', 'receiving'].includes(leg.state) ? 'good' : 'idle';
}

function legRow(kind, leg) {
  const row = element('li', { class: 'leg' },
    element('span', { class: `dot ${mood(leg)}`, 'aria-hidden': 'true' }),
    element('span', { class: 'leg-kind' }, kind),
    element('span', { class: 'leg-state' }, leg.state ?? 'unknown'),
    element('span', { class: 'leg-rate' }, bits(leg.bitrate_bps ?? 0)),
    element('span', { class: 'leg-packets' }, `${count(leg.packets ?? 0)} packets`));

  for (const problem of leg.problems ?? []) {
    row.append(element('p', { class: 'problem' }, String(problem)));
  }
  return row;
}

function drawSpark(svg, values) {
  const top = Math.max(...values, 1);
  const step = 100 / (HISTORY - 1);
  const left = 100 - (values.length - 1) * step;
  const points = values.map((v, i) => `${(left + i * step).toFixed(2)},${(29 - v / top * 26).toFixed(2)}`);

  svg.children[0].setAttribute('points', [`${left},30`, ...points, '100,30'].join(' '));
  svg.children[1].setAttribute('points', points.join(' '));
}

function makeSpark() {
  const svg = document.createElementNS(SVG, 'svg');

  svg.setAttribute('viewBox', '0 0 100 30');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'polygon'), document.createElementNS(SVG, 'polyline'));
  return svg;
}

// Cards are kept and refilled, so that the keyboard's focus stays where it is.
function makeCard(id) {
  const parts = {
    viewers: element('p', { class: 'viewers' }),
    rate: element('p', { class: 'rate' }),
    legs: element('ul', { class: 'legs' }),
    source: element('p', { class: 'source' }),
    charts: element('div', { class: 'charts' }),
    quality: element('p', { class: 'quality' }),
    spark: makeSpark(),
  };

  parts.root = element('li', { class: 'card' },
    element('div', { class: 'card-head' },
      element('h3', { title: id }, element('a', { href: `/watch/${encodeURIComponent(id)}` }, id)),
      parts.viewers),
    element('div', { class: 'card-graph' }, parts.spark, parts.rate),
    parts.source,
    parts.legs,
    parts.charts,
    parts.quality);
  return parts;
}

function fillCard(card, stream) {
  const values = history.get(stream.id) ?? [];
  const rate = streamBits(stream);
  values.push(rate);
  if (values.length > HISTORY) {
    values.shift();
  }
  history.set(stream.id, values);
  card.viewers.textContent = stream.viewers === 1 ? '1 viewer' : `${count(stream.viewers ?? 0)} viewers`;
  card.rate.textContent = bits(rate);
  card.source.textContent = sourceText(stream);
  card.source.classList.toggle('warn', stream.source?.active === 'backup');
  card.legs.replaceChildren(...allLegs(stream).map(([kind, leg]) => legRow(kind, leg)));
  card.charts.replaceChildren(...qualityCharts(stream.quality));
  card.quality.textContent = qualityText(stream.quality);
  card.root.classList.toggle('silent', rate === 0);
  drawSpark(card.spark, values);
}

function showStreams(streams) {
  const seen = new Set();

  for (const stream of [...streams].sort((a, b) => a.id.localeCompare(b.id))) {
    let card = cards.get(stream.id);

    seen.add(stream.id);
    if (!card) {
      card = makeCard(stream.id);
      cards.set(stream.id, card);
      $('streams').append(card.root);
    }
    fillCard(card, stream);
  }
  for (const [id, card] of cards) {
    if (!seen.has(id)) {
      card.root.remove();
      cards.delete(id);
      history.delete(id);
    }
  }
  $('no-streams').hidden = streams.length > 0;
}

function showTotals(streams) {
  const sum = (f) => streams.reduce((total, s) => total + f(s), 0);
  const problems = sum((s) => allLegs(s).reduce((n, [, leg]) => n + (leg.problems?.length ?? 0), 0));
  const tiles = [
    ['streams', count(streams.length)],
    ['viewers', count(sum((s) => s.viewers ?? 0))],
    ['coming in', bits(sum(streamBits))],
    ['problems', count(problems), problems ? 'warn' : ''],
  ];

  $('totals').replaceChildren(...tiles.map(([name, value, tone]) =>
    element('div', { class: `tile ${tone ?? ''}` }, element('dt', {}, name), element('dd', {}, value))));
}

// A name's last word is its unit, so that values can be shown without knowing each.
const UNITS = {
  bps: bits,
  bytes: (value) => `${count(value)} B`,
  mib: (value) => `${number(value)} MiB`,
  ms: (value) => `${number(value)} ms`,
  ns: (value) => `${number(value)} ns`,
  pct: (value) => `${number(value, 1)} %`,
  percent: (value) => `${number(value, 1)} %`,
  port: String,
  pps: (value) => `${count(value)} / s`,
  s: (value) => (value < 60 ? `${number(value)} s` : age(value)),
  us: (value) => `${number(value)} µs`,
};

const unitOf = (name) => UNITS[/_([a-z]+)$/.exec(name)?.[1]];

function show(name, value) {
  if (typeof value === 'boolean') {
    return value ? 'yes' : 'no';
  }
  if (value !== null && typeof value === 'object') {
    return JSON.stringify(value);
  }
  if (typeof value !== 'number') {
    return value === null ? '–' : String(value);
  }
  return (unitOf(name) ?? number)(value);
}

function label(name) {
  return (unitOf(name) ? name.replace(/_[a-z]+$/, '') : name).replaceAll('_', ' ');
}

function table(name, rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = (row) => columns.map((c) =>
    element('td', { class: typeof row[c] === 'number' ? 'number' : '' }, show(c, row[c] ?? null)));

  return element('div', { class: 'scroll' }, element('table', {},
    element('caption', {}, label(name)),
    element('thead', {}, element('tr', {},
      ...columns.map((c) => element('th', {
        scope: 'col',
        class: rows.some((row) => typeof row[c] === 'number') ? 'number' : '',
      }, label(c))))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...cells(row))))));
}

const isTable = (value) => Array.isArray(value) && value.length > 0 &&
  value.every((row) => row !== null && typeof row === 'object' && !Array.isArray(row));

function facts(entries) {
  return element('dl', { class: 'facts' }, ...entries.map(([name, value]) => element('div', {},
    element('dt', {}, label(name)), element('dd', {}, show(name, value)))));
}

// Whatever the data plane reports: plain values first, then groups, then tables.
function showDataplane(report) {
  const entries = Object.entries(report);
  const plain = entries.filter(([, v]) => v === null || typeof v !== 'object');
  const lists = entries.filter(([, v]) => Array.isArray(v) && v.length > 0 && !isTable(v))
    .map(([name, v]) => [name, v.join(', ')]);
  const groups = entries.filter(([, v]) => v !== null && typeof v === 'object' && !Array.isArray(v));
  const tables = entries.filter(([, v]) => isTable(v));

  $('dataplane').replaceChildren(
    facts([...plain, ...lists]),
    ...groups.map(([name, group]) => element('section', { class: 'group' },
      element('h3', {}, label(name)),
      facts(Object.entries(group)))),
    ...tables.map(([name, rows]) => table(name, rows)));
}

function showLink(text, tone) {
  const chip = $('link');

  chip.className = `chip ${tone}`;
  // A live region speaks at every change of its text, so only real changes are made.
  if (chip.textContent !== text) {
    chip.textContent = text;
  }
}

function askForKey(why) {
  showLink('key needed', 'warn');
  if ($('key').hidden) {
    $('key-why').textContent = why;
    ask($('key'), (value) => key.set(value));
  }
}

async function refresh() {
  const [streams, dataplane] = await Promise.allSettled([
    getJson('/api/v3/streams'),
    getJson('/api/v3/dataplane'),
  ]);

  document.body.classList.toggle('stale', streams.status === 'rejected');
  if (streams.reason instanceof KeyNeeded) {
    refused = key.value;
    askForKey(streams.reason.message);
    return;
  }
  $('key').hidden = true;
  if (streams.status === 'fulfilled') {
    showTotals(streams.value.streams ?? []);
    showStreams(streams.value.streams ?? []);
  }
  if (dataplane.status === 'fulfilled') {
    showDataplane(dataplane.value);
  } else {
    $('dataplane').replaceChildren(element('p', { class: 'problem' },
      `The data plane's state cannot be read: ${dataplane.reason.message}`));
  }
  if (streams.status === 'rejected') {
    showLink('control does not answer', 'bad');
  } else if (dataplane.status === 'rejected') {
    showLink('data plane unknown', 'warn');
  } else {
    showLink('live', 'good');
  }
}

async function loop() {
  // While a person types, there is nothing new to learn; a key in a new link ends that too.
  if (!document.hidden && ($('key').hidden || key.value !== refused)) {
    try {
      await refresh();
    } catch (error) {
      console.error('refresh failed', error);
      showLink('unexpected answer', 'bad');
    }
  }
  setTimeout(loop, REFRESH_MS);
}

loop();
