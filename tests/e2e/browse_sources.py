#!/usr/bin/python3
"""What the pages say of a stream's sources, by Chromium with an API key.

Run in the viewers' namespace. Writes one JSON object on stdout: {"event": "done", "card": the text
of the dashboard's card, "player": the text of the player's chip}, or {"event": "failed", "why": …}
and exit status 1.
"""

import argparse
import sys
import time

from viewer_chromium import console, open_browser, say

PATIENCE_S = 20

CARD = "document.querySelector('#streams .source')?.textContent"
CHIP = "!document.getElementById('source').hidden && document.getElementById('source').textContent"


def await_text(browser, script):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        text = browser.execute_script(f"return {script};")
        if text:
            return text
        time.sleep(0.1)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--home", required=True, help="of the browser's profile")
    options = parser.parse_args()
    browser = open_browser(options.home)
    try:
        browser.get(f"{options.base}/#key={options.key}")
        card = await_text(browser, CARD)
        browser.get(f"{options.base}/watch/live#key={options.key}")
        player = await_text(browser, CHIP)
        if card and player:
            say("done", card=card, player=player)
            return 0
        say("failed", why=f"card: {card}, player: {player}, console: {console(browser)}")
        return 1
    finally:
        browser.quit()


if __name__ == "__main__":
    sys.exit(main())
