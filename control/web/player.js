// The player: keeps one WHEP session alive, shows it, and says what is going on.
//
// For scripting and monitoring the page offers window.millrace:
//   pc       the present RTCPeerConnection, or null
//   state    "connecting", "waiting" (tries again by itself), "silent" (connected, no media yet),
//            "playing", "failed" (needs a person) or "closed"
//   message  the line that explains the state
//   stats()  a promise of a snapshot; its members are listed in stats.js
import { apiKey, ask, viewerToken } from './credentials.js';
import { bits, element, number } from './format.js';
import { qualityCharts, qualityText } from './quality.js';
import { rates, takeSnapshot } from './stats.js';
import { WhepError, WhepSession } from './whep.js';

const BACKOFF_MS = [500, 1000, 2000, 4000, 8000, 15000];
const CONNECT_TIMEOUT_MS = 15000;
// Short losses of connectivity heal by themselves; after this a new session is quicker.
const DISCONNECTED_MS = 5000;
const SAMPLE_MS = 1000;
const FIRST_SAMPLE_MS = 250;
const SILENT_SAMPLES = 3;
const SOURCE_MS = 5000;
const IDLE_CONTROLS_MS = 3000;

const $ = (id) => document.getElementById(id);
const video = $('video');
// /watch/{stream}
const streamId = location.pathname.split('/').filter(Boolean).at(1) ?? '';

const token = viewerToken(streamId);
const key = apiKey();

let session = null;
let state = 'connecting';
let message = '';
let attempts = 0;
let retryTimer = 0;
let watchdog = 0;
let previous = null;
let silentSamples = 0;
let blocked = false;

function setState(next, headline, detail) {
  state = next;
  message = detail || headline;
  document.body.dataset.state = next;
  $('state').textContent = next === 'playing' ? 'live' : next;
  $('state').className = `chip ${{ playing: 'good', failed: 'bad', waiting: 'warn', silent: 'warn' }[next] ?? ''}`;
  $('headline').textContent = headline;
  $('detail').textContent = detail.charAt(0).toUpperCase() + detail.slice(1);
  $('curtain').hidden = next === 'playing';
  $('retry').hidden = !['failed', 'waiting', 'closed'].includes(next);
}

// Connecting

function endSession() {
  clearTimeout(retryTimer);
  clearTimeout(watchdog);
  session?.close();
  session = null;
  previous = null;
  silentSamples = 0;
}

function tryAgain(headline, detail, wantedMs) {
  const backoffMs = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length - 1)];
  // Not all viewers of a stream at the same moment.
  const delayMs = Math.max(wantedMs, backoffMs) * (0.85 + 0.3 * Math.random());

  endSession();
  attempts++;
  setState('waiting', headline, detail);
  retryTimer = setTimeout(connect, delayMs);
}

function askForToken() {
  ask($('token'), (value) => {
    token.set(value);
    attempts = 0;
    connect();
  });
}

function explain(error) {
  if (error instanceof WhepError) {
    if (error.status === 404) {
      tryAgain('Stream not there yet', 'Trying again until it comes.', error.retryMs);
    } else if (error.retryMs !== null) {
      tryAgain('The server cannot serve you yet', `${error.message}. Trying again.`, error.retryMs);
    } else {
      endSession();
      setState('failed', 'The server refused', error.message);
      if (error.status === 401 || error.status === 403) {
        askForToken();
      }
    }
  } else if (error.name === 'TimeoutError' || error instanceof TypeError) {
    tryAgain('The server does not answer', 'Trying again. Is the network there?', 0);
  } else {
    endSession();
    setState('failed', 'This browser could not set the session up', error.message);
  }
}

function onConnectionState(own) {
  const now = own.pc.connectionState;

  if (own !== session) {
    return;
  }
  clearTimeout(watchdog);
  if (now === 'connected') {
    attempts = 0;
    setState('silent', 'Connected', 'Waiting for the source to send.');
  } else if (now === 'failed' || now === 'closed') {
    tryAgain('Connection lost', 'Trying again. If it keeps failing, UDP may be blocked on the way.', 0);
  } else if (now === 'disconnected') {
    watchdog = setTimeout(() => tryAgain('Connection lost', 'Trying again.', 0), DISCONNECTED_MS);
  } else {
    watchConnecting();
  }
}

function watchConnecting() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => tryAgain('No connection came about',
    'Trying again. If it keeps failing, UDP may be blocked on the way.', 0), CONNECT_TIMEOUT_MS);
}

async function connect() {
  endSession();
  $('audio-only').hidden = true;
  $('token').hidden = true;
  // While the page tries again, what it said before still holds, and is not read out anew.
  if (attempts === 0) {
    setState('connecting', 'Connecting', '');
  } else {
    setState('connecting', $('headline').textContent, $('detail').textContent);
  }

  const media = new MediaStream();
  const own = new WhepSession(`/whep/${encodeURIComponent(streamId)}`, token.headers(),
    (track) => media.addTrack(track));

  session = own;
  own.pc.onconnectionstatechange = () => onConnectionState(own);
  video.srcObject = media;
  try {
    await own.start();
    if (own === session && own.pc.connectionState !== 'connected') {
      watchConnecting();
    }
    play();
  } catch (error) {
    if (own === session) {
      explain(error);
    }
  }
}

// Sound and picture

async function play() {
  try {
    await video.play();
    blocked = false;
  } catch (error) {
    // Muted play is refused only where the user forbade it; a new source interrupts harmlessly.
    blocked = error.name === 'NotAllowedError';
  }
}

function showSound() {
  $('mute').setAttribute('aria-pressed', String(video.muted));
  $('mute').setAttribute('aria-label', video.muted ? 'Unmute' : 'Mute');
  $('mute').title = `${video.muted ? 'Unmute' : 'Mute'} (m)`;
  $('unmute').hidden = !video.muted || state !== 'playing';
}

function toggleMute() {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) {
    video.volume = 1;
    $('volume').value = '1';
  }
  play();
}

function toggleFullscreen() {
  const stage = $('stage');

  if (document.fullscreenElement) {
    document.exitFullscreen();
  } else if (stage.requestFullscreen) {
    stage.requestFullscreen().catch(() => {});
  } else {
    // iPhones know full screen for video elements only.
    video.webkitEnterFullscreen?.();
  }
}

// Statistics

function toggleStats() {
  const panel = $('stats');

  panel.hidden = !panel.hidden;
  $('stats-toggle').setAttribute('aria-pressed', String(!panel.hidden));
  sample(false);
}

const ms = (seconds) => (seconds === null ? '–' : `${number(seconds * 1000, 1)} ms`);

function statRows(s, rate) {
  const picture = s.width ? `${s.width} × ${s.height}` : 'none';
  const loss = `${number(s.packetsLost, 0)} packets, ${number(rate.lossShare * 100, 1)} % now`;
  const freezes = `${s.freezeCount}, ${number(s.totalFreezesDuration, 1)} s in all`;
  const sync = s.avSyncMs === null ? '–' :
    `${number(Math.abs(s.avSyncMs), 0)} ms, ${s.avSyncMs >= 0 ? 'picture' : 'sound'} ahead`;

  return [
    ['Picture', picture],
    ['Frames', `${number(s.framesPerSecond, 0)} / s, ${number(s.framesDecoded, 0)} decoded, ${number(s.framesDropped, 0)} dropped`],
    ['Bit rate', bits(rate.bitsPerSecond)],
    ['Loss', loss, rate.lossShare > 0.01],
    ['Round trip', ms(s.roundTripTime)],
    ['Jitter', `${ms(s.jitter)} video, ${ms(s.audioJitter)} audio`],
    ['Codecs', [s.videoCodec, s.audioCodec].filter(Boolean).join(', ') || '–'],
    ['Freezes', freezes, s.freezeCount > 0],
    ['A/V sync', sync, Math.abs(s.avSyncMs ?? 0) > 80],
    ['Repairs', `${number(s.nackCount, 0)} NACK, ${number(s.pliCount, 0)} PLI`],
    ['Sealed with', s.srtpCipher ?? '–'],
  ];
}

function showStats(s, rate) {
  $('numbers').replaceChildren(element('dl', {}, ...statRows(s, rate).map(([name, value, warn]) =>
    element('div', { class: warn ? 'warn' : '' }, element('dt', {}, name), element('dd', {}, value)))));
}

// Media that moves makes the state, whatever the transport says.
function judge(s, rate) {
  if (s.connectionState !== 'connected' || !['silent', 'playing'].includes(state)) {
    return;
  }
  if (blocked) {
    setState('silent', 'Click to play', 'This browser does not start video by itself.');
    return;
  }
  silentSamples = rate.bitsPerSecond > 0 ? 0 : silentSamples + 1;
  if (rate.bitsPerSecond > 0 && (s.framesDecoded > 0 || s.totalSamplesReceived > 0)) {
    if (state !== 'playing') {
      setState('playing', 'Playing', '');
    }
    $('audio-only').hidden = s.width > 0 || s.videoPacketsReceived > 0;
  } else if (silentSamples >= SILENT_SAMPLES && state === 'playing') {
    setState('silent', 'The source is silent', 'The picture comes back when the source does.');
  }
}

async function sample(keep = true) {
  const own = session;
  const s = await takeSnapshot(own?.pc, state);

  if (own !== session) {
    return;
  }
  const rate = rates(previous ?? s, s);

  if (keep) {
    judge(s, rate);
    previous = s;
  }
  if (!$('stats').hidden) {
    showStats(s, rate);
  }
  showSound();
}

// Until the first picture, look more often.
async function sampleLoop() {
  try {
    await sample();
  } finally {
    setTimeout(sampleLoop, state === 'playing' ? SAMPLE_MS : FIRST_SAMPLE_MS);
  }
}

// What the server knows about the source, e.g. that it sends reordered pictures, and what all viewers
// report. It tells those who hold an API key and, where there is none, its own host; others do without.
let sourceTimer = 0;

// Which of two sources is shown; of one there is nothing to say.
function showSource(stream) {
  $('source').hidden = !stream.backup;
  $('source').textContent = stream.source?.active ?? '';
  $('source').className = `chip ${stream.source?.active === 'backup' ? 'warn' : ''}`;
}

function legLines(kind, leg) {
  const problems = leg.problems ?? [];
  const state = `${leg.state}, ${bits(leg.bitrate_bps ?? 0)}${problems.length ? '' : ', nothing wrong with it'}`;

  return [
    element('p', {}, element('span', {
      class: `dot ${problems.length ? 'warn' : leg.state === 'up' ? 'good' : 'idle'}`,
      'aria-hidden': 'true',
    }), element('b', {}, kind), ` ${state}`),
    ...problems.map((problem) => element('p', { class: 'problem' }, String(problem))),
  ];
}

function showDetails(stream) {
  const sources = [['', stream?.legs], ['backup ', stream?.backup?.legs]];
  const legs = sources.flatMap(([whose, all]) => Object.entries(all ?? {})
    .filter(([, leg]) => leg).map(([kind, leg]) => [whose + kind, leg]));
  const charts = qualityCharts(stream?.quality);
  const viewers = stream?.viewers === 1 ? 'One viewer' : `All ${number(stream?.viewers ?? 0, 0)} viewers`;

  $('details').hidden = legs.length === 0;
  $('details').replaceChildren(
    element('h2', {}, 'What comes in'),
    ...legs.flatMap(([kind, leg]) => legLines(kind, leg)),
    ...(charts.length ? [
      element('h2', {}, viewers),
      element('div', { class: 'charts' }, ...charts),
      element('p', { class: 'quality' }, qualityText(stream.quality)),
    ] : []));
}

async function readSource() {
  if (!key.value && !['localhost', '127.0.0.1', '[::1]'].includes(location.hostname)) {
    return;
  }
  try {
    const answer = await fetch(`/api/v3/streams/${encodeURIComponent(streamId)}`, {
      headers: { Accept: 'application/json', ...key.headers() },
      cache: 'no-store',
    });

    if (answer.status === 401 || answer.status === 403) {
      clearInterval(sourceTimer);
      return;
    }
    const stream = answer.ok ? await answer.json() : {};
    const sources = [['', stream.legs], ['backup: ', stream.backup?.legs]];
    const problems = sources.flatMap(([whose, legs]) => Object.values(legs ?? {})
      .flatMap((leg) => (leg?.problems ?? []).map((problem) => whose + problem)));

    showSource(stream);
    showDetails(stream);
    $('notice').textContent = problems.join(' · ');
    $('notice').title = problems.join('\n');
  } catch {
    $('notice').textContent = '';
    showSource({});
    showDetails(null);
  }
}

// The page

let idleTimer = 0;

function showControls() {
  document.body.classList.remove('idle');
  clearTimeout(idleTimer);
  idleTimer = setTimeout(() => {
    // Whoever moves by keyboard keeps sight of the control that has the focus.
    const focused = document.querySelector('.bar :focus-visible');

    if (state === 'playing' && !focused) {
      document.body.classList.add('idle');
    }
  }, IDLE_CONTROLS_MS);
}

const KEYS = { m: toggleMute, s: toggleStats, f: toggleFullscreen };

function onKey(event) {
  const action = KEYS[event.key.toLowerCase()];

  showControls();
  if (event.target.closest?.('form')) {
    return; // somebody types a token
  }
  if (action && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    action();
  }
}

function listen() {
  $('mute').addEventListener('click', toggleMute);
  $('unmute').addEventListener('click', toggleMute);
  $('stats-toggle').addEventListener('click', toggleStats);
  $('fullscreen').addEventListener('click', toggleFullscreen);
  $('retry').addEventListener('click', () => {
    attempts = 0;
    connect();
  });
  $('volume').addEventListener('input', (event) => {
    video.volume = Number(event.target.value);
    video.muted = video.volume === 0;
  });
  video.addEventListener('volumechange', showSound);
  video.addEventListener('click', play);
  $('curtain').addEventListener('click', play);
  video.addEventListener('dblclick', toggleFullscreen);
  for (const kind of ['pointermove', 'pointerdown', 'focusin']) {
    document.addEventListener(kind, showControls);
  }
  document.addEventListener('keydown', onKey);
  window.addEventListener('pagehide', () => {
    endSession();
    setState('closed', 'Closed', '');
  });
  // Back from the browser's page cache: the session is gone.
  window.addEventListener('pageshow', (event) => event.persisted && connect());
  window.addEventListener('online', () => state === 'waiting' && connect());
}

window.millrace = {
  get pc() {
    return session?.pc ?? null;
  },
  get state() {
    return state;
  },
  get message() {
    return message;
  },
  stats: () => takeSnapshot(session?.pc, state),
};

document.title = `${streamId} · millrace`;
$('name').textContent = streamId;
listen();
showSound();
showControls();
sampleLoop();
if (!window.RTCPeerConnection) {
  setState('failed', 'This browser has no WebRTC', 'It may be switched off, or the browser too old.');
} else {
  connect();
  window.addEventListener('hashchange', () => state === 'failed' && connect());
  readSource();
  sourceTimer = setInterval(readSource, SOURCE_MS);
}
