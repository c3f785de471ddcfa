"""What an ingest port refuses is counted by reason, and said in the leg's problems."""

import struct

from host import EDGE_IP4, VIEWER_IP4, check, udp_socket, wait_until
from millrace import VIDEO_PAYLOAD_TYPE, Edge, Netns

# More than fits a path of 1500 once header extension and tag are added, less than a fragment.
TOO_LONG_BYTES = 1465


def rtp(payload, sequence=1, payload_type=VIDEO_PAYLOAD_TYPE, ssrc=0x5EED):
    return struct.pack("!BBHII", 0x80, payload_type, sequence, sequence * 3600, ssrc) + payload


def bad_packets():
    """Reason, packet, how often: no two reasons the same number."""
    return (
        ("ingest_not_rtp", bytes(100), 3),
        ("ingest_payload_type", rtp(bytes(100), payload_type=33), 4),
        ("ingest_short", rtp(b""), 5),
        ("ingest_long", rtp(bytes(TOO_LONG_BYTES - 12)), 6),
    )


def send(port, packet, times):
    with udp_socket(address=VIEWER_IP4) as sock:
        for _ in range(times):
            sock.sendto(packet, (EDGE_IP4, port))


def raised(leg):
    return {reason: count for reason, count in leg["drops"].items() if count}


class BadIngest:
    """Each kind of bad packet raises its own counter, by as many as were sent, and no other."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            port = edge.put_stream(video={"payload_type": VIDEO_PAYLOAD_TYPE})["legs"]["video"]["port"]
            for reason, packet, times in bad_packets():
                before = raised(edge.stream()["legs"]["video"])
                send(port, packet, times)
                expected = {**before, reason: times}
                wait_until(lambda: raised(edge.stream()["legs"]["video"]).get(reason, 0) >= times, 5,
                           f"{reason} to count {times}; "
                           f"counted: {raised(edge.stream()['legs']['video'])}")
                leg = edge.stream()["legs"]["video"]
                check(raised(leg) == expected, f"{raised(leg)}, not {expected}")
                check(leg["packets"] == 0, f"{leg['packets']} bad packets were taken")
            problems = edge.stream()["legs"]["video"]["problems"]
            check(len(problems) >= len(bad_packets()), f"problems named: {problems}")
            audio = edge.stream()["legs"]["audio"]
            check(not raised(audio) and not audio["problems"], f"the other leg: {audio}")


class SourceNotAllowed:
    """A stream with a list of senders takes those and counts the others."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            strict = edge.put_stream("strict", allowed_sources=["198.18.77.9/32"])["legs"]
            open_to_us = edge.put_stream("open", allowed_sources=["198.18.77.0/24"])["legs"]
            send(strict["video"]["port"], rtp(bytes(100)), 7)
            send(open_to_us["video"]["port"], rtp(bytes(100)), 1)
            wait_until(lambda: edge.stream("open")["legs"]["video"]["packets"] == 1, 5,
                       "the allowed packet to be taken")
            wait_until(lambda: raised(edge.stream("strict")["legs"]["video"]), 5,
                       "the refused to be counted")
            video = edge.stream("strict")["legs"]["video"]
            check(raised(video) == {"ingest_source": 7}, f"{raised(video)}")
            check(video["packets"] == 0, f"{video['packets']} packets were taken")
            check(any(VIEWER_IP4 in problem for problem in video["problems"]),
                  f"the sender is not named: {video['problems']}")
