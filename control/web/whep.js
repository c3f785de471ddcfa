// One WHEP session: offer, answer, end (draft-ietf-wish-whep). No state of the page is known here.

const POST_TIMEOUT_MS = 10000;

// Why a session did not come about.
export class WhepError extends Error {
  // retryMs: null where trying again cannot help; 0 where the server named no time.
  constructor(status, message, retryMs) {
    super(message);
    this.status = status;
    this.retryMs = retryMs;
  }
}

// Statuses that pass: the stream or the server may come (back).
const PASSING = new Set([404, 408, 409, 425, 429, 500, 502, 503, 504]);

const ADVICE = {
  401: 'This stream needs a token: open the player with the link you were given, or enter it.',
  403: 'Your token does not cover this stream.',
  406: 'This browser cannot decode what the stream carries; try another one.',
  413: 'The offer is too large for the server.',
  422: 'Server and browser have no way to connect in common.',
};

function retryAfterMs(answer) {
  const seconds = Number(answer.headers.get('Retry-After'));

  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}

async function refusal(answer) {
  const text = (await answer.text().catch(() => '')).split('\n', 1)[0].trim().slice(0, 300);
  const said = text && !text.startsWith('<') ? text : `${answer.status} ${answer.statusText}`.trim();
  const advice = ADVICE[answer.status];

  return new WhepError(answer.status, advice ? `${said}. ${advice}` : said,
    PASSING.has(answer.status) ? retryAfterMs(answer) : null);
}

// Chromium plays Opus in two channels only if its own description asks for them.
export function askForStereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/im.exec(sdp);

  if (!opus) {
    return sdp;
  }
  return sdp.replace(new RegExp(`^(a=fmtp:${opus[1]} (?!.*stereo=)[^\\r\\n]*)`, 'm'), '$1;stereo=1');
}

async function makeOffer(pc) {
  const offer = await pc.createOffer();

  try {
    await pc.setLocalDescription({ type: 'offer', sdp: askForStereo(offer.sdp) });
  } catch {
    await pc.setLocalDescription(offer);
  }
  return pc.localDescription.sdp;
}

export class WhepSession {
  // headers: sent with each request of the session, e.g. Authorization.
  // onTrack(track): called for each track of the stream.
  constructor(endpoint, headers, onTrack) {
    this.endpoint = endpoint;
    this.headers = headers;
    this.location = null;
    this.closed = false;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.addTransceiver('video', { direction: 'recvonly' });
    this.pc.addTransceiver('audio', { direction: 'recvonly' });
    this.pc.ontrack = (event) => onTrack(event.track);
  }

  // The offer goes out at once: the server is ICE-lite and needs no candidate of ours.
  // Rejects with a WhepError, or with what fetch or WebRTC says.
  async start() {
    const sdp = await makeOffer(this.pc);
    const answer = await fetch(this.endpoint, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', ...this.headers },
      body: sdp,
      signal: AbortSignal.timeout(POST_TIMEOUT_MS),
    });

    if (answer.status !== 201) {
      throw await refusal(answer);
    }
    const location = answer.headers.get('Location');

    this.location = location ? new URL(location, answer.url) : null;
    const text = await answer.text();

    // Closed meanwhile: the server has a session that nobody wants.
    if (this.closed) {
      this.delete();
      return;
    }
    await this.pc.setRemoteDescription({ type: 'answer', sdp: text });
  }

  delete() {
    if (this.location) {
      // keepalive: it has to leave although the page does.
      fetch(this.location, { method: 'DELETE', headers: this.headers, keepalive: true }).catch(() => {});
      this.location = null;
    }
  }

  close() {
    this.closed = true;
    this.pc.onconnectionstatechange = null;
    this.pc.ontrack = null;
    this.pc.close();
    this.delete();
  }
}
