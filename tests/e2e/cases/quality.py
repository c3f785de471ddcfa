"""What is lost is sent again, and a picture is there at once. tests/quality measures how well; here
limits are wide, and groups of pictures so long that nobody is saved by the next key frame."""

import os
import sys
import time

from host import ROOT, check, wait_until

sys.path.append(os.path.join(ROOT, "tests", "quality"))

from lines import FRAME_MS, GROUP_S, RATE, Setting, behind, playing  # noqa: E402
from rig import Loss, fps, longest_gap_ms, right_again_ms  # noqa: E402

DELAY_MS = 15  # each way


def join_at_key(browser):
    """A viewer whose group has most of its time before it: the next key frame is far."""
    check(browser.join("viewer")["first_ms"] is not None, "no picture")

    def early():
        frames = browser.frames("viewer")
        return frames and RATE // 2 <= frames[-1][1] % (GROUP_S * RATE) <= RATE
    wait_until(early, GROUP_S + 5, "the beginning of a group")


def setting_of(context):
    return Setting(context.build, context.logs, {}, {})


class LossRepaired:
    """With 5 % of the packets lost, picture and sound go on."""

    def run(self, context):
        with playing(setting_of(context), DELAY_MS, size="320x192", bits="800k") as (
                _, browser, _), Loss(context.logs, context.build) as loss:
            join_at_key(browser)
            before = browser.stats("viewer")
            since = len(browser.frames("viewer")) - 1
            loss.of_thousand(50)
            time.sleep(7)
            counts = loss.of_thousand(0)
            after = browser.stats("viewer")
            lost = counts["lost"]["rtp"]
            check(lost >= 30, f"{lost} packets were lost: too few to tell")
            rate, gap = fps(before, after), longest_gap_ms(browser.frames("viewer", since))
            check(rate >= 0.85 * RATE, f"{rate:.1f} frames a second of {RATE}, {lost} lost")
            check(gap <= 1000, f"no new picture for {gap:.0f} ms")
            check(after["audio"]["totalAudioEnergy"] > before["audio"]["totalAudioEnergy"],
                  "no sound")


class BurstRepaired:
    """After 200 ms in which nothing came, the picture is right again long before a key frame."""

    def run(self, context):
        with playing(setting_of(context), DELAY_MS, size="320x192", bits="800k") as (
                _, browser, _), Loss(context.logs, context.build) as loss:
            join_at_key(browser)
            began = loss.burst(200)
            time.sleep(5)
            lost = loss.counts()["burst"]["rtp"]
            check(lost >= 10, f"{lost} packets were lost: too few to tell")
            right = right_again_ms(browser.frames("viewer"), began, FRAME_MS, steady_ms=500)
            check(right is not None and right <= 2500, f"right again after {right} ms")


class JoinsMidGroup:
    """Whoever joins has a picture at once, and three seconds later is where all others are."""

    def run(self, context):
        with playing(setting_of(context), size="320x192", bits="800k") as (_, browser, _):
            join_at_key(browser)
            for turn in range(2):
                joined = browser.join("late")
                first = joined["first_ms"]
                check(first is not None and first <= 1500, f"join {turn + 1}: picture after {first} ms")
                time.sleep(4.2)
                late = behind(browser, "late", "viewer", joined["began"] + first + 3000)
                check(late is not None and late <= 400, f"join {turn + 1}: {late} ms behind")
                check(browser.leave("late") in (200, 204), "DELETE failed")
