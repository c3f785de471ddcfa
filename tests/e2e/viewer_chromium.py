#!/usr/bin/python3
"""One viewer, by Chromium on the player page; run in the viewers' namespace.

Opens the page, waits for the first decoded frame, switches the sound on, then watches for --seconds. Writes one JSON
object a line on stdout:
  {"event": "playing", "after_s": 1.2}
  {"event": "sample", "time": t, ...what window.millrace.stats() says}     once a second
  {"event": "done", "seconds": 20.0, "first": {...}, "last": {...}}
  {"event": "failed", "why": "...", "state": "...", "console": [...]}      and exit status 1
chromedriver and the browser listen on this namespace's loopback only.
"""

import argparse
import json
import os
import sys
import time

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1280,900",
)

STATS = """
const done = arguments[arguments.length - 1];
if (!window.millrace || !window.millrace.stats) { done(null); return; }
Promise.resolve(window.millrace.stats()).then(done, error => done({error: String(error)}));
"""
STATE = "return window.millrace ? String(window.millrace.state) : 'no window.millrace';"


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def open_browser(home):
    # Imported here, so that --help needs no browser.
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    # Whatever the browser writes, it writes below its own home.
    for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        os.environ[name] = home
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    # A player without media holds the page's load event back.
    options.page_load_strategy = "eager"
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={home}/profile")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    browser.set_script_timeout(10)
    browser.set_page_load_timeout(20)
    return browser


def console(browser):
    return [entry["message"] for entry in browser.get_log("browser")][-20:]


def wait_playing(browser, seconds):
    """Return the first stats with a decoded frame; None when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stats = browser.execute_async_script(STATS)
        if stats and stats.get("framesDecoded"):
            return stats
        time.sleep(0.1)
    return None


def unmute(browser, seconds):
    """The page starts without sound, as browsers demand; do what a person does about it."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    button = browser.find_element(By.ID, "unmute")
    WebDriverWait(browser, seconds).until(lambda _: button.is_displayed())
    button.click()


def watch(browser, seconds):
    """Sample once a second; return first and last sample and the time between them."""
    start = time.monotonic()
    first = last = browser.execute_async_script(STATS)
    while time.monotonic() - start < seconds:
        time.sleep(1)
        last = browser.execute_async_script(STATS)
        say("sample", time=time.monotonic(), **last)
    return first, last, time.monotonic() - start


def play(browser, options):
    began = time.monotonic()
    browser.get(options.url)
    if not wait_playing(browser, options.patience):
        say("failed", why=f"no frame within {options.patience} s",
            state=browser.execute_script(STATE), console=console(browser))
        return 1
    say("playing", after_s=round(time.monotonic() - began, 2))
    unmute(browser, options.patience)
    time.sleep(options.settle)
    first, last, seconds = watch(browser, options.seconds)
    if options.screenshot:
        browser.save_screenshot(options.screenshot)
    say("done", seconds=seconds, first=first, last=last, console=console(browser))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="the player page")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--settle", type=float, default=3, help="between first frame and watching")
    parser.add_argument("--patience", type=float, default=20, help="for the first frame")
    parser.add_argument("--home", required=True, help="empty directory for all it writes")
    parser.add_argument("--screenshot")
    options = parser.parse_args()
    browser = open_browser(options.home)
    try:
        return play(browser, options)
    finally:
        browser.quit()


if __name__ == "__main__":
    sys.exit(main())
