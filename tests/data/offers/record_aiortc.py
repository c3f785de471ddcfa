#!/usr/bin/env python3
"""Record aiortc's receive-only offers, or let it judge our answers.

record_aiortc.py OUTDIR                  writes OUTDIR/aiortc-<shape>.sdp
record_aiortc.py OUTDIR --negotiate CMD  feeds each offer to CMD on stdin, sets its stdout as the
                                         answer, prints the outcome; exit 1 if one is refused
"""

import asyncio
import pathlib
import subprocess
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription

SHAPES = {
    "av": ["audio", "video"],
    "audio": ["audio"],
    "video": ["video"],
    "video-first": ["video", "audio"],
    "data": ["audio", "video", "data"],
}


async def offer(pc, kinds):
    for kind in kinds:
        if kind == "data":
            pc.createDataChannel("stats")
        else:
            pc.addTransceiver(kind, direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    return pc.localDescription.sdp


async def judge(pc, name, command, text):
    answer = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE).stdout.decode()
    try:
        await asyncio.wait_for(
            pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer")), 5
        )
    except Exception as error:
        print(f"aiortc {name}: refused: {error!r}")
        return 1
    ways = " ".join(f"{t.mid}:{t.currentDirection}" for t in pc.getTransceivers())
    print(f"aiortc {name}: {pc.signalingState} {ways}")
    return 0


async def main():
    outdir, *rest = sys.argv[1:]
    refused = 0
    for name, kinds in SHAPES.items():
        pc = RTCPeerConnection()
        text = await offer(pc, kinds)
        if rest[:1] == ["--negotiate"]:
            refused += await judge(pc, name, rest[1:], text)
        else:
            (pathlib.Path(outdir) / f"aiortc-{name}.sdp").write_bytes(text.encode())
        await pc.close()
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    asyncio.run(main())
