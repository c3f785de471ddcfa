#!/usr/bin/python3
"""Chromium with page.js; run in the viewers' namespace.

Each line on stdin is {"call": NAME, "arguments": [...]}: a function of window.quality. Answers with
one JSON object a line: {"event": "answer", "value": ...} or {"event": "fault", "why": "..."}; before
the first, {"event": "open"}. Ends with stdin.
"""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from viewer_chromium import open_browser, say  # noqa: E402

LONGEST_CALL_S = 60
CALL = """
const done = arguments[arguments.length - 1];
const [name, given] = arguments;
Promise.resolve().then(() => window.quality[name](...given))
  .then((value) => done({value}), (error) => done({why: String(error)}));
"""


def obey(browser, line):
    asked = json.loads(line)
    found = browser.execute_async_script(CALL, asked["call"], asked["arguments"])
    if "why" in found:
        say("fault", why=f"{asked['call']}: {found['why']}")
    else:
        say("answer", value=found.get("value"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="any page of the edge's: where POSTs go")
    parser.add_argument("--home", required=True, help="empty directory for all it writes")
    options = parser.parse_args()
    browser = open_browser(options.home)
    try:
        browser.set_script_timeout(LONGEST_CALL_S)
        browser.get(options.url)
        with open(os.path.join(HERE, "page.js")) as file:
            browser.execute_script(file.read())
        say("open")
        for line in sys.stdin:
            obey(browser, line)
    finally:
        browser.quit()


if __name__ == "__main__":
    sys.exit(main())
