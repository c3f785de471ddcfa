// Keys and tokens: from the link's fragment (#key=…, #token=…), which no server and no log sees, or
// from a person; kept for as long as the tab lives, and out of the address bar.

// Blocked storage is no reason not to work.
function stored(name) {
  try {
    return sessionStorage.getItem(name) ?? '';
  } catch {
    return '';
  }
}

export class Credential {
  // kind: its name in the fragment; place: its name in the storage.
  constructor(kind, place) {
    this.kind = kind;
    this.place = place;
    this.value = stored(place);
    this.takeFragment();
    // The same page's link with another key, opened in this tab.
    window.addEventListener('hashchange', () => this.takeFragment());
  }

  takeFragment() {
    // A plus sign is a character of keys here, not a form's blank.
    const rest = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
    const given = rest.get(this.kind);

    if (!given) {
      return;
    }
    this.set(given);
    rest.delete(this.kind);
    const kept = rest.toString();

    history.replaceState(history.state, '', location.pathname + location.search +
      (kept ? `#${kept}` : ''));
  }

  set(value) {
    this.value = value.trim();
    try {
      sessionStorage.setItem(this.place, this.value);
    } catch {
      // It holds until the page goes.
    }
  }

  headers() {
    return this.value ? { Authorization: `Bearer ${this.value}` } : {};
  }
}

export const apiKey = () => new Credential('key', 'millrace.key');
export const viewerToken = (stream) => new Credential('token', `millrace.token.${stream}`);

// Show a form until a person has filled it in, then call use(value).
export function ask(form, use) {
  const input = form.querySelector('input');

  if (form.hidden) {
    form.hidden = false;
    input.focus();
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim()) {
      form.hidden = true;
      use(input.value);
      input.value = '';
    }
  };
}
