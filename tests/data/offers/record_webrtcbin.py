#!/usr/bin/env python3
"""Record webrtcbin's receive-only offers, or let it judge our answers.

record_webrtcbin.py OUTDIR                  writes OUTDIR/webrtcbin-<shape>.sdp
record_webrtcbin.py OUTDIR --negotiate CMD  feeds each offer to CMD on stdin, sets its stdout as the
                                            answer, prints the outcome; exit 1 if one is refused
"""

import pathlib
import subprocess
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

OPUS = "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000"
OPUS += ",encoding-params=(string)2"
H264 = "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000"
# What whepclientsrc adds, and what a careful user adds.
LEVEL = ",profile-level-id=(string)42e016"
FULL = ",packetization-mode=(string)1,profile-level-id=(string)42e01f"

SHAPES = {
    "av": [OPUS, H264 + FULL],
    "audio": [OPUS],
    "video": [H264 + FULL],
    "video-first": [H264 + FULL, OPUS],
    "no-fmtp": [OPUS, H264],
    "level-only": [OPUS, H264 + LEVEL],
    "max-bundle": [OPUS, H264 + FULL],
    "data": [OPUS, H264 + FULL, "data"],
}


def wait(promise):
    promise.wait()
    return promise.get_reply()


def offer(name, lines):
    policy = "max-bundle" if name == "max-bundle" else "max-compat"
    pipe = Gst.Pipeline()
    peer = Gst.ElementFactory.make("webrtcbin")
    peer.set_property("bundle-policy", policy)
    pipe.add(peer)
    pipe.set_state(Gst.State.PLAYING)
    for line in lines:
        if line == "data":
            peer.emit("create-data-channel", "stats", None)
        else:
            way = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
            peer.emit("add-transceiver", way, Gst.Caps.from_string(line))
    promise = Gst.Promise.new()
    peer.emit("create-offer", None, promise)
    reply = wait(promise)  # owns the description
    made = reply.get_value("offer")
    text = made.sdp.as_text()
    promise = Gst.Promise.new()
    peer.emit("set-local-description", made, promise)
    promise.wait()
    return pipe, peer, text


def judge(peer, name, command, text):
    answer = subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE).stdout
    result, message = GstSdp.SDPMessage.new()
    if GstSdp.sdp_message_parse_buffer(answer, message) != GstSdp.SDPResult.OK or not answer:
        print(f"webrtcbin {name}: refused: not SDP")
        return 1
    kind = GstWebRTC.WebRTCSDPType.ANSWER
    promise = Gst.Promise.new()
    description = GstWebRTC.WebRTCSessionDescription.new(kind, message)
    peer.emit("set-remote-description", description, promise)
    reply = wait(promise)
    error = reply["error"] if reply and reply.has_field("error") else None
    if error:
        print(f"webrtcbin {name}: refused: {error.message}")
        return 1
    print(f"webrtcbin {name}: {peer.get_property('signaling-state').value_nick}")
    return 0


def main():
    outdir, *rest = sys.argv[1:]
    Gst.init(None)
    refused = 0
    for name, lines in SHAPES.items():
        pipe, peer, text = offer(name, lines)
        if rest[:1] == ["--negotiate"]:
            refused += judge(peer, name, rest[1:], text)
        else:
            (pathlib.Path(outdir) / f"webrtcbin-{name}.sdp").write_bytes(text.encode())
        pipe.set_state(Gst.State.NULL)
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
