// A snapshot of what WebRTC reports, in one flat object. Units are those of the W3C identifiers
// (seconds for times, counts since the start) where a name is one of theirs.

function pickLeg(report, kind) {
  for (const entry of report.values()) {
    if (entry.type === 'inbound-rtp' && entry.kind === kind) {
      return entry;
    }
  }
  return null;
}

function pickTransport(report) {
  for (const entry of report.values()) {
    if (entry.type === 'transport') {
      return entry;
    }
  }
  return null;
}

function pickPair(report, transport) {
  const named = transport?.selectedCandidatePairId && report.get(transport.selectedCandidatePairId);

  if (named) {
    return named;
  }
  for (const entry of report.values()) {
    if (entry.type === 'candidate-pair' && (entry.selected || entry.nominated) && entry.state === 'succeeded') {
      return entry;
    }
  }
  return null;
}

function codecName(report, leg) {
  const codec = leg?.codecId && report.get(leg.codecId);

  if (!codec) {
    return null;
  }
  const profile = /profile-level-id=([0-9a-f]{6})/i.exec(codec.sdpFmtpLine ?? '');

  return codec.mimeType.replace(/^.*\//, '') + (profile ? ` ${profile[1]}` : '');
}

// Positive: the picture is ahead of the sound.
function avSyncMs(video, audio) {
  if (!video?.estimatedPlayoutTimestamp || !audio?.estimatedPlayoutTimestamp) {
    return null;
  }
  return video.estimatedPlayoutTimestamp - audio.estimatedPlayoutTimestamp;
}

function sum(a, b) {
  return (a ?? 0) + (b ?? 0);
}

export async function takeSnapshot(pc, state) {
  const report = pc ? await pc.getStats() : new Map();
  const video = pickLeg(report, 'video');
  const audio = pickLeg(report, 'audio');
  const transport = pickTransport(report);
  const pair = pickPair(report, transport);

  return {
    state,
    connectionState: pc?.connectionState ?? 'closed',
    timestamp: performance.now(),
    width: video?.frameWidth ?? 0,
    height: video?.frameHeight ?? 0,
    framesPerSecond: video?.framesPerSecond ?? 0,
    framesDecoded: video?.framesDecoded ?? 0,
    framesDropped: video?.framesDropped ?? 0,
    keyFramesDecoded: video?.keyFramesDecoded ?? 0,
    freezeCount: video?.freezeCount ?? 0,
    totalFreezesDuration: video?.totalFreezesDuration ?? 0,
    nackCount: sum(video?.nackCount, audio?.nackCount),
    pliCount: video?.pliCount ?? 0,
    totalAudioEnergy: audio?.totalAudioEnergy ?? 0,
    totalSamplesReceived: audio?.totalSamplesReceived ?? 0,
    concealedSamples: audio?.concealedSamples ?? 0,
    packetsReceived: sum(video?.packetsReceived, audio?.packetsReceived),
    packetsLost: sum(video?.packetsLost, audio?.packetsLost),
    videoPacketsReceived: video?.packetsReceived ?? 0,
    videoPacketsLost: video?.packetsLost ?? 0,
    audioPacketsReceived: audio?.packetsReceived ?? 0,
    audioPacketsLost: audio?.packetsLost ?? 0,
    bytesReceived: sum(video?.bytesReceived, audio?.bytesReceived),
    jitter: video?.jitter ?? audio?.jitter ?? null,
    audioJitter: audio?.jitter ?? null,
    roundTripTime: pair?.currentRoundTripTime ?? null,
    avSyncMs: avSyncMs(video, audio),
    videoCodec: codecName(report, video),
    audioCodec: codecName(report, audio),
    srtpCipher: transport?.srtpCipher ?? null,
    dtlsCipher: transport?.dtlsCipher ?? null,
    tlsVersion: transport?.tlsVersion ?? null,
    dtlsState: transport?.dtlsState ?? null,
  };
}

// What needs two snapshots.
export function rates(before, now) {
  const seconds = (now.timestamp - before.timestamp) / 1000;
  const received = now.packetsReceived - before.packetsReceived;
  const lost = Math.max(0, now.packetsLost - before.packetsLost);

  return {
    bitsPerSecond: seconds > 0 ? Math.max(0, now.bytesReceived - before.bytesReceived) * 8 / seconds : 0,
    lossShare: received + lost > 0 ? lost / (received + lost) : 0,
  };
}
