#!/usr/bin/python3
"""A person with keys, by Chromium: links with a key in the fragment, and forms that ask for one.

Run in the viewers' namespace. Writes one JSON object a line on stdout: {"event": "step", "name": …}
after each step that went as it should, {"event": "done"} at the end, or {"event": "failed",
"why": …} and exit status 1.
"""

import argparse
import sys
import time

from viewer_chromium import console, open_browser, say

PATIENCE_S = 25


class Unexpected(Exception):
    pass


class Person:
    def __init__(self, browser, options):
        self.browser = browser
        self.base = options.base
        self.key = options.key
        self.token = options.token

    def look(self, script):
        return self.browser.execute_script(f"return {script};")

    def await_true(self, script, what):
        end = time.monotonic() + PATIENCE_S
        while not self.look(script):
            if time.monotonic() > end:
                raise Unexpected(f"waited {PATIENCE_S} s for {what}")
            time.sleep(0.05)

    def fill_in(self, form, text):
        self.await_true(f"!document.getElementById('{form}').hidden", f"the form for the {form}")
        self.browser.find_element("css selector", f"#{form} input").send_keys(text + "\n")

    def await_live(self):
        self.await_true("document.getElementById('link').textContent === 'live'", "the dashboard")
        self.await_true("document.querySelector('#streams li') !== null", "a stream's card")
        if not self.look("document.getElementById('key').hidden"):
            raise Unexpected("the form for the key stays")

    def dashboard_asks(self):
        self.browser.get(self.base + "/")
        self.fill_in("key", "a-wrong-key-0123456789")
        self.fill_in("key", self.key)
        self.await_live()
        self.browser.refresh()
        self.await_live()

    def dashboard_takes_link(self):
        self.forget()
        self.browser.get(self.base + "/#key=" + self.key)
        self.await_live()
        if self.look("location.hash") or self.key in self.look("location.href"):
            raise Unexpected("the key stays in the address")

    def player_asks(self):
        self.forget()
        self.browser.get(self.base + "/watch/live")
        # m, s and f are keys of the player, but not while somebody types.
        self.fill_in("token", "msf-wrong-0123456789")
        if self.look("document.getElementById('stats').hidden"):
            raise Unexpected("typing a token switches the statistics")
        self.fill_in("token", self.token)
        self.await_true("window.millrace.state === 'silent'", "the session")

    def player_takes_link(self):
        self.forget()
        self.browser.get(self.base + "/watch/live#token=" + self.token)
        self.await_true("window.millrace.state === 'silent'", "the session by its link")
        if self.look("location.hash"):
            raise Unexpected("the token stays in the address")

    def forget(self):
        self.browser.execute_script("sessionStorage.clear();")
        self.browser.get("about:blank")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="http://HOST:PORT")
    parser.add_argument("--key", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--home", required=True, help="empty directory for all it writes")
    options = parser.parse_args()
    browser = open_browser(options.home)
    person = Person(browser, options)
    try:
        for step in (person.dashboard_asks, person.dashboard_takes_link, person.player_asks,
                     person.player_takes_link):
            step()
            say("step", name=step.__name__)
        say("done")
        return 0
    except Unexpected as unexpected:
        say("failed", why=str(unexpected), console=console(browser))
        return 1
    finally:
        browser.quit()


if __name__ == "__main__":
    sys.exit(main())
