"""The lines of what is asked, each a function that measures one of them once.

Each takes a Setting and returns a Finding. Where a feature's switch is off in the setting, the same
is measured without it.
"""

import contextlib
import dataclasses
import random
import statistics
import time

from coded import Coded
from host import Failure, check, wait_until
from millrace import request
from rig import Browser, Loss, edge_for_viewers, fps, longest_gap_ms, right_again_ms

RATE = 25
FRAME_MS = 1000 / RATE
GROUP_S = 10
DELAY_MS = 15  # each way: a round trip of 30
SECOND_ENCODER = 32768  # its frames' numbers begin there
NEVER = float("inf")


@dataclasses.dataclass
class Setting:
    build: str
    logs: str
    dataplane: dict  # options
    control: dict
    quick: bool = False
    say: callable = print
    seed: int = 1

    def some(self, full, quick):
        return quick if self.quick else full


@dataclasses.dataclass
class Finding:
    good: bool
    text: str  # what was reached, for the table
    detail: dict


@contextlib.contextmanager
def playing(setting, delay_ms=0, group_s=GROUP_S, **encoder):
    """An edge with a stream that plays, a browser, and a last mile. Yields edge, browser, mile."""
    with edge_for_viewers(setting.logs, setting.build, delay_ms, setting.dataplane,
                          setting.control) as (edge, mile):
        legs = edge.put_stream()["legs"]
        with Coded(setting.logs, legs, group_s, rate=RATE, **encoder), Browser(
                setting.logs) as browser:
            edge.await_legs_up()
            yield edge, browser, mile


def join(browser, name):
    joined = browser.join(name)
    check(joined["first_ms"] is not None, f"{name}: no picture")
    return joined


def number_now(browser, name):
    frames = browser.frames(name)
    return frames[-1][1] if frames else -1


def joins(setting):
    """POST to first frame shown, joining at any moment."""
    chance = random.Random(setting.seed)
    times = []
    with playing(setting) as (_, browser, _):
        time.sleep(3)  # not for an event: the first group is under way
        for turn in range(setting.some(30, 8)):
            joined = browser.join("viewer")
            browser.leave("viewer")
            times.append(NEVER if joined["first_ms"] is None else joined["first_ms"])
            setting.say(f"join {turn + 1}: connected after {joined['connect_ms']} ms, picture after "
                        f"{times[-1]:.0f} ms")
            time.sleep(chance.uniform(0.3, 3.3))
    times.sort()
    p95 = times[max(0, -(-len(times) * 95 // 100) - 1)]
    return Finding(p95 <= 300, f"{p95:.0f} ms (median {statistics.median(times):.0f})",
                   {"times_ms": times})


def behind(browser, name, reference, since):
    """How much later than the other it shows the same frames, in a second from since on; ms."""
    there = {number: shown for shown, number, _ in browser.frames(reference) if number >= 0}
    late = [shown - there[number] for shown, number, _ in browser.frames(name)
            if since <= shown < since + 1000 and number in there]
    return statistics.median(late) if len(late) >= RATE // 2 else None


def live(setting):
    """Delay 3 s after a join in the middle of a group, over that of one who joined at its start."""
    later = []
    with playing(setting) as (_, browser, _):
        join(browser, "guide")
        for turn in range(setting.some(6, 2)):
            # A reference of the same age: a player's buffer grows with what befalls it.
            wait_until(lambda: 0 <= number_now(browser, "guide") % (GROUP_S * RATE) <= 2, 15,
                       "a key frame")
            join(browser, "reference")
            time.sleep(1 + turn % 4)
            joined = join(browser, "late")
            time.sleep(4.2)
            first = joined["began"] + joined["first_ms"]
            middle = {at: behind(browser, "late", "reference", first + 1000 * at)
                      for at in (0, 1, 3)}
            browser.leave("late")
            browser.leave("reference")
            place = joined["first_number"] % (GROUP_S * RATE)
            setting.say(f"join {turn + 1}, first shown is frame {place} of the group: behind by "
                        f"{middle} ms after so many seconds")
            check(middle[3] is not None, "no frames in common")
            later.append(middle)
    worst = max(at[3] for at in later)
    return Finding(worst <= 50, f"{worst:.0f} ms more at worst", {"behind_ms": later})


def under_loss(setting, permille, seconds):
    """Play with loss; return what was seen meanwhile."""
    with playing(setting, DELAY_MS) as (_, browser, mile), Loss(
            setting.logs, setting.build) as loss:
        join(browser, "viewer")
        time.sleep(4)  # not for an event: the player's buffers settle
        before = browser.stats("viewer")
        n_frames = len(browser.frames("viewer"))
        loss.of_thousand(permille)
        time.sleep(seconds)
        after = browser.stats("viewer")
        counts = loss.of_thousand(0)
        frames = browser.frames("viewer", max(0, n_frames - 1))
        late = mile.late()
    video = {key: after["video"][key] - before["video"][key]
             for key, value in after["video"].items()
             if isinstance(value, (int, float)) and isinstance(before["video"][key], (int, float))
             and key not in ("ssrc", "jitter", "estimatedPlayoutTimestamp")}
    audio = after["audio"]
    concealed = audio["concealedSamples"] - before["audio"]["concealedSamples"]
    found = {
        "fps": fps(before, after), "freezes": video["freezeCount"],
        "frozen_s": video["totalFreezesDuration"], "longest_gap_ms": longest_gap_ms(frames),
        "lost": counts["lost"], "seen": counts["seen"], "round_trip_ms": after.get("round_trip_ms"),
        "concealed_percent": 100 * concealed / max(1, audio["totalSamplesReceived"]
                                                   - before["audio"]["totalSamplesReceived"]),
        "unreadable": sum(number < 0 for _, number, _ in frames), "mile": late, "video": video}
    setting.say(f"{found['fps']:.2f} frames/s, {found['freezes']} freezes of "
                f"{found['frozen_s']:.1f} s, longest gap {found['longest_gap_ms']:.0f} ms; "
                f"{counts['lost']['rtp']} of {counts['seen']['rtp']} packets lost, "
                f"{video['nackCount']} NACKs, {video['pliCount']} PLIs; sound concealed "
                f"{found['concealed_percent']:.1f} %; mile late {late}")
    return found


def loss2(setting):
    """2 % lost, round trip 30 ms."""
    found = under_loss(setting, 20, setting.some(60, 15))
    good = found["freezes"] == 0 and abs(found["fps"] - RATE) <= 0.03 * RATE
    return Finding(good, f"{found['freezes']} freezes, {100 * (found['fps'] / RATE - 1):+.1f} %",
                   found)


def loss10(setting):
    """10 % lost, round trip 30 ms."""
    found = under_loss(setting, 100, setting.some(60, 15))
    good = abs(found["fps"] - RATE) <= 0.15 * RATE and found["longest_gap_ms"] <= 500
    return Finding(good, f"{100 * (found['fps'] / RATE - 1):+.1f} %, longest "
                   f"{found['longest_gap_ms']:.0f} ms", found)


def burst(setting):
    """200 ms lost at once, round trip 30 ms."""
    times = []
    with playing(setting, DELAY_MS) as (_, browser, _), Loss(setting.logs, setting.build) as loss:
        join(browser, "viewer")
        time.sleep(4)  # not for an event: the player's buffers settle
        for turn in range(setting.some(10, 3)):
            began = loss.burst(200)
            time.sleep(4)
            right = right_again_ms(browser.frames("viewer"), began, FRAME_MS)
            if right is None:  # wait for the next key frame
                time.sleep(GROUP_S)
                right = right_again_ms(browser.frames("viewer"), began, FRAME_MS)
            times.append(NEVER if right is None else right)
            setting.say(f"burst {turn + 1}: right again {times[-1]:.0f} ms after its beginning")
            time.sleep(0.7 * turn % 2)
        counts = loss.counts()
    return Finding(max(times) <= 1000,
                   f"{max(times):.0f} ms at worst (median {statistics.median(times):.0f})",
                   {"times_ms": times, "lost": counts["burst"]})


def sync_ms(browser, name, seconds):
    """Median distance of picture and sound as they are shown; positive: the picture is ahead."""
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stats = browser.stats(name)
        shown = [stats[kind]["estimatedPlayoutTimestamp"] for kind in ("video", "audio")]
        if None not in shown:
            found.append(shown[0] - shown[1])
        time.sleep(0.25)
    return statistics.median(found) if found else None


def check_same_session(before, after):
    check(after["state"] == "connected" and after["tracks"] == before["tracks"] == 2,
          f"the session is {after['state']}, {after['tracks']} tracks")
    for kind in ("video", "audio"):
        check(after[kind]["ssrc"] == before[kind]["ssrc"], f"another SSRC of {kind}")
    check(after["video"]["framesDecoded"] >= before["video"]["framesDecoded"],
          "the decoder began anew")


def restart(setting):
    """Encoder killed, another one there within 2 s."""
    turns = []
    with edge_for_viewers(setting.logs, setting.build, 0, setting.dataplane,
                          setting.control) as (edge, _), Browser(setting.logs) as browser:
        legs = edge.put_stream()["legs"]
        with contextlib.ExitStack() as stack:
            encoder = stack.enter_context(Coded(setting.logs, legs, GROUP_S, rate=RATE))
            edge.await_legs_up()
            join(browser, "viewer")
            for turn in range(setting.some(4, 1)):
                time.sleep(4)
                before = browser.stats("viewer")
                killed = 1000 * time.time()
                encoder.process.kill()
                encoder.process.wait(5)
                time.sleep((0.2, 0.7, 1.2, 1.7)[turn % 4])
                first = 0 if turn % 2 else SECOND_ENCODER
                encoder = stack.enter_context(Coded(
                    setting.logs, legs, GROUP_S, first=first, rate=RATE,
                    name=f"encoder-{turn + 2}"))
                turns.append(watch_restart(browser, before, killed, first, setting))
            # What was killed on purpose shall not fail the context.
            stack.pop_all()
            encoder.process.kill()
    worst = max(abs(turn["sync_ms"]) for turn in turns)
    gap = max(turn["gap_ms"] for turn in turns)
    return Finding(worst <= 80, f"plays on after {gap:.0f} ms at most, {worst:.0f} ms apart",
                   {"turns": turns})


def watch_restart(browser, before, killed, first, setting):
    def there():
        return [shown for shown, number, _ in browser.frames("viewer")
                if shown > killed and 0 <= number - first < SECOND_ENCODER]
    shown = wait_until(there, 20, "a picture of the new encoder")
    time.sleep(6)  # not for an event: the sender reports of both legs
    after = browser.stats("viewer")
    check_same_session(before, after)
    check(after["audio"]["totalAudioEnergy"] > before["audio"]["totalAudioEnergy"], "no sound")
    frames = browser.frames("viewer")
    old = max(at for at, number, _ in frames if at < shown[0])
    sync = sync_ms(browser, "viewer", 3)
    check(sync is not None, "no sync of sound and picture")
    setting.say(f"new picture {shown[0] - old:.0f} ms after the last of the old one; picture "
                f"{sync:+.0f} ms before sound")
    return {"gap_ms": shown[0] - old, "sync_ms": sync,
            "decoded": after["video"]["framesDecoded"] - before["video"]["framesDecoded"],
            "key_frames": after["video"]["keyFramesDecoded"]
            - before["video"]["keyFramesDecoded"],
            "freezes": after["video"]["freezeCount"] - before["video"]["freezeCount"]}


def takes_backup():
    """Whether the edge's own document knows a second source."""
    document = request("GET", "/api/v3/openapi.json").json()
    return "backup" in document["components"]["schemas"]["StreamRequest"]["properties"]


def backup(setting):
    """Primary killed while a backup sends."""
    turns = []
    for turn in range(setting.some(4, 1)):
        with edge_for_viewers(setting.logs, setting.build, 0, setting.dataplane,
                              setting.control) as (edge, _), Browser(setting.logs) as browser:
            check(takes_backup(), "this build knows no backup source")
            stream = edge.put_stream(backup={"video": {}, "audio": {}})
            with contextlib.ExitStack() as stack:
                primary = stack.enter_context(Coded(setting.logs, stream["legs"], GROUP_S,
                                                    rate=RATE))
                edge.await_legs_up()
                time.sleep(1.3 * turn)  # the two groups begin at different moments
                second = Coded(setting.logs, stream["backup"]["legs"], GROUP_S, rate=RATE,
                               first=SECOND_ENCODER, name="backup")
                stack.enter_context(second)
                join(browser, "viewer")
                time.sleep(4)
                check(0 <= number_now(browser, "viewer") < SECOND_ENCODER,
                      "the primary's picture is not shown")
                before = browser.stats("viewer")
                killed = 1000 * time.time()
                primary.process.kill()
                turns.append(watch_restart(browser, before, killed, SECOND_ENCODER, setting))
                stack.pop_all()  # the primary was killed on purpose
                second.process.kill()
    gap = max(turn["gap_ms"] for turn in turns)
    return Finding(gap <= 500, f"{gap:.0f} ms at worst, same session and decoder",
                   {"turns": turns})


__all__ = ["Failure", "Finding", "Setting", "backup", "burst", "joins", "live", "loss10", "loss2", "request",
           "restart"]
