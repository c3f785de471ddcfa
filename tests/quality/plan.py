"""What is asked, line by line, and which switches take a line's feature away."""

import dataclasses

import lines


@dataclasses.dataclass
class Line:
    what: str
    asked: str
    features: tuple
    measure: callable


# Options of both daemons that switch a feature off.
SWITCHES = {
    "start": {"media-start-max-ms": "0"},
    "repair": {"media-repair-percent": "0"},
    "pacing": {"media-pacing-percent": "0"},
}

LINES = {
    "joins": Line("POST to first frame shown, 10 s groups, p95 of 30", "≤ 300 ms", ("start",),
                  lines.joins),
    "live": Line("delay 3 s after a join within a group, over that at its beginning", "≤ 50 ms more",
                 ("start",), lines.live),
    "loss2": Line("2 % random loss, 30 ms round trip, 60 s", "0 freezes, frame rate within 3 %",
                  ("repair", "start"), lines.loss2),
    "loss10": Line("10 % random loss, 30 ms round trip, 60 s",
                   "frame rate within 15 %, no stall over 500 ms", ("repair", "start"), lines.loss10),
    "burst": Line("200 ms lost, 30 ms round trip: picture right again", "≤ 1000 ms",
                  ("repair", "start"), lines.burst),
    "restart": Line("encoder killed and started again within 2 s", "plays on, within 80 ms", (),
                    lines.restart),
    "backup": Line("primary source killed: the backup's picture", "≤ 500 ms, no decoder reset", (),
                   lines.backup),
}
