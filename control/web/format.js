// Numbers as people read them, and elements in one call.

export function number(value, digits = 2) {
  return value.toLocaleString('en-GB', {
    maximumFractionDigits: digits,
    useGrouping: 'min2',
  });
}

// 1 234, 56.7 k, 8.9 M
export function count(value) {
  if (value < 10000) {
    return number(value, 0);
  }
  return value < 1e6 ? `${number(value / 1e3, 1)} k` : `${number(value / 1e6, 1)} M`;
}

export function bits(bps) {
  const units = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'];
  let unit = 0;

  while (bps >= 1000 && unit < units.length - 1) {
    bps /= 1000;
    unit++;
  }
  return `${number(bps, bps < 10 && unit > 0 ? 2 : bps < 100 ? 1 : 0)} ${units[unit]}`;
}

export function age(seconds) {
  const days = Math.floor(seconds / 86400);
  const rest = new Date((seconds % 86400) * 1000).toISOString().slice(11, 19);

  return days ? `${days} d ${rest}` : rest;
}

// A new element; children are nodes or text, never markup.
export function element(tag, attributes, ...children) {
  const node = document.createElement(tag);

  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== '') {
      node.setAttribute(name, value);
    }
  }
  node.append(...children);
  return node;
}
