// Viewers in one page, for measuring: window.quality. Each has its own connection and video element,
// notes every frame that is shown, and reads the number that coded.py drew into it.
// Times are milliseconds of the wall clock (performance.timeOrigin + performance.now()).
(() => {
  const BITS = 16;
  const BLOCK = 16; // pixels; two rows: the number, and its complement
  const LONGEST_JOIN_MS = 25000;
  const viewers = new Map();

  const wall = (t) => performance.timeOrigin + t;

  // The number in the picture; -1 where it cannot be read, because the picture is damaged.
  function readNumber(viewer) {
    const { context, video } = viewer;

    context.drawImage(video, 0, 0, BITS * BLOCK, 2 * BLOCK, 0, 0, BITS * BLOCK, 2 * BLOCK);
    const { data } = context.getImageData(0, 0, BITS * BLOCK, 2 * BLOCK);
    const bright = (bit, row) =>
      data[4 * ((row * BLOCK + BLOCK / 2) * BITS * BLOCK + bit * BLOCK + BLOCK / 2)] > 127;
    let value = 0;

    for (let bit = 0; bit < BITS; bit++) {
      if (bright(bit, 0) === bright(bit, 1)) {
        return -1;
      }
      value += bright(bit, 0) ? 2 ** bit : 0;
    }
    return value;
  }

  // metadata.presentationTime is when the frame was given to be shown; our call may come later.
  function onFrame(viewer, metadata) {
    viewer.frames.push([wall(metadata.presentationTime), readNumber(viewer), metadata.rtpTimestamp ?? 0]);
    viewer.onfirst?.();
    viewer.onfirst = null;
    viewer.video.requestVideoFrameCallback((_, next) => onFrame(viewer, next));
  }

  function build(name) {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const video = document.createElement('video');
    const canvas = document.createElement('canvas');
    const media = new MediaStream();
    const viewer = { pc, video, frames: [], tracks: 0, location: null, onfirst: null };

    canvas.width = BITS * BLOCK;
    canvas.height = 2 * BLOCK;
    viewer.context = canvas.getContext('2d', { willReadFrequently: true });
    pc.addTransceiver('video', { direction: 'recvonly' });
    pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.ontrack = (event) => {
      viewer.tracks++;
      media.addTrack(event.track);
    };
    video.autoplay = true;
    video.width = 320;
    video.srcObject = media;
    video.requestVideoFrameCallback((_, metadata) => onFrame(viewer, metadata));
    document.body.append(video);
    viewers.set(name, viewer);
    return viewer;
  }

  async function post(viewer, stream) {
    await viewer.pc.setLocalDescription(await viewer.pc.createOffer());
    const began = performance.now();
    const answer = await fetch(`/whep/${stream}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp' },
      body: viewer.pc.localDescription.sdp,
    });

    if (answer.status !== 201) {
      throw new Error(`POST: ${answer.status} ${await answer.text()}`);
    }
    viewer.location = new URL(answer.headers.get('Location'), answer.url);
    const answered = performance.now();

    viewer.answer = await answer.text();
    await viewer.pc.setRemoteDescription({ type: 'answer', sdp: viewer.answer });
    return { began, answered };
  }

  // Resolves with the first frame that is shown; first_ms: null where none came.
  async function join(name, stream) {
    const viewer = build(name);
    const first = new Promise((resolve) => {
      viewer.onfirst = () => resolve(true);
      setTimeout(() => resolve(false), LONGEST_JOIN_MS);
    });
    let connected = null;

    viewer.pc.addEventListener('connectionstatechange', () => {
      if (viewer.pc.connectionState === 'connected') {
        connected ??= performance.now();
      }
    });
    const { began, answered } = await post(viewer, stream);
    const came = await first;

    return {
      began: wall(began),
      answer_ms: answered - began,
      connect_ms: connected === null ? null : Math.round(connected - began),
      first_ms: came ? viewer.frames[0][0] - wall(began) : null,
      first_number: came ? viewer.frames[0][1] : null,
      rtx: /a=rtpmap:\d+ rtx\/90000/.test(viewer.answer),
      nack: /a=rtcp-fb:\S+ nack\s*$/m.test(viewer.answer),
    };
  }

  async function leave(name) {
    const viewer = viewers.get(name);

    viewers.delete(name);
    viewer.pc.close();
    viewer.video.srcObject = null;
    viewer.video.remove();
    const answer = await fetch(viewer.location, { method: 'DELETE' });

    return answer.status;
  }

  // [shown at, number, RTP timestamp] from the index on; and the wall time now.
  function frames(name, since) {
    return { now: wall(performance.now()), frames: viewers.get(name).frames.slice(since) };
  }

  const PICKED = ['framesDecoded', 'framesReceived', 'framesDropped', 'keyFramesDecoded', 'freezeCount',
    'totalFreezesDuration', 'pauseCount', 'nackCount', 'pliCount', 'firCount', 'packetsReceived',
    'packetsLost', 'retransmittedPacketsReceived', 'packetsDiscarded', 'concealedSamples',
    'totalSamplesReceived', 'totalAudioEnergy', 'jitter', 'jitterBufferDelay',
    'jitterBufferEmittedCount', 'ssrc', 'estimatedPlayoutTimestamp', 'decoderImplementation'];

  async function stats(name) {
    const viewer = viewers.get(name);
    const report = await viewer.pc.getStats();
    const found = { now: wall(performance.now()), state: viewer.pc.connectionState, tracks: viewer.tracks };

    for (const entry of report.values()) {
      if (entry.type === 'inbound-rtp') {
        found[entry.kind] = Object.fromEntries(PICKED.map((key) => [key, entry[key] ?? null]));
      } else if (entry.type === 'candidate-pair' && entry.nominated) {
        found.round_trip_ms = 1000 * (entry.currentRoundTripTime ?? 0);
      }
    }
    return found;
  }

  document.body.replaceChildren();
  window.quality = { join, leave, frames, stats };
})();
