#!/usr/bin/python3
"""An operator, by Chromium: the player page with a key in its link, and the dashboard beside it.

Run in the viewers' namespace. Waits until both say what is wrong with the source and have charts of
what viewers report, takes a picture of each, and writes one JSON object a line on stdout:
{"event": "done", "player": …, "dashboard": …} with what they say, or {"event": "failed", "why": …}
and exit status 1.
"""

import argparse
import os
import sys

from browse_keys import Person, Unexpected
from viewer_chromium import console, open_browser, say

SAID = """Array.from(document.querySelectorAll('%s .problem, %s .chart svg'))
    .map((node) => node.getAttribute('aria-label') ?? node.textContent)"""


def look_at(person, where, shot):
    """What is wrong, and the charts: loss, round trip, jitter and the first packet's time."""
    person.await_true(f"document.querySelector('{where} .problem') !== null", f"a problem: {where}")
    person.await_true(f"document.querySelectorAll('{where} .chart').length === 4",
                      f"four charts: {where}")
    person.await_true(f"document.querySelectorAll('{where} .chart rect[height]').length > 30",
                      f"bars: {where}")
    person.browser.save_screenshot(shot)
    return person.look(SAID % (where, where))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="http://HOST:PORT")
    parser.add_argument("--key", required=True)
    parser.add_argument("--shots", required=True, help="directory for the pictures")
    parser.add_argument("--home", required=True, help="empty directory for all it writes")
    options = parser.parse_args()
    options.token = None
    browser = open_browser(options.home)
    person = Person(browser, options)
    try:
        browser.get(f"{options.base}/watch/live#key={options.key}")
        player = look_at(person, "#details", os.path.join(options.shots, "player.png"))
        browser.switch_to.new_window("tab")
        browser.get(f"{options.base}/#key={options.key}")
        dashboard = look_at(person, "#streams", os.path.join(options.shots, "dashboard.png"))
        say("done", player=player, dashboard=dashboard)
        return 0
    except Unexpected as unexpected:
        say("failed", why=str(unexpected), console=console(browser))
        return 1
    finally:
        browser.quit()


if __name__ == "__main__":
    sys.exit(main())
