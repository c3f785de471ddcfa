#!/usr/bin/env python3
"""Record a browser's receive-only offers, or let it judge our answers.

record_browser.py chromium|firefox OUTDIR            writes OUTDIR/<browser>-<shape>.sdp
record_browser.py chromium|firefox OUTDIR --negotiate CMD
    feeds each offer to CMD on stdin, gives its stdout back as the answer, and prints what the
    browser says of it. Exit 1 if one is refused.
"""

import http.server
import pathlib
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).parent
DEADLINE_S = 90

FIREFOX_PREFS = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
}


class Handler(http.server.BaseHTTPRequestHandler):
    browser = outdir = negotiator = None
    done = threading.Event()
    refused = 0

    def do_GET(self):
        self.reply((HERE / "record_browser.html").read_bytes(), "text/html")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        verb, _, name = self.path.strip("/").partition("/")
        answer = b""
        if verb == "done":
            Handler.done.set()
        elif verb == "result":
            text = body.decode()
            Handler.refused += not text.startswith("stable")
            print(f"{self.browser} {name}: {text}")
        elif self.negotiator:
            answer = subprocess.run(self.negotiator, input=body, stdout=subprocess.PIPE).stdout
        else:
            (self.outdir / f"{self.browser}-{name}.sdp").write_bytes(body)
        self.reply(answer, "text/plain")

    def reply(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def command_line(browser, profile, url):
    if browser == "chromium":
        return [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={profile}", url,
        ]
    prefs = "".join(
        f'user_pref("{name}", {str(value).lower()});\n' for name, value in FIREFOX_PREFS.items()
    )
    (pathlib.Path(profile) / "user.js").write_text(prefs)
    return ["firefox-esr", "--headless", "--no-remote", "--profile", profile, url]


def main():
    browser, outdir, *rest = sys.argv[1:]
    Handler.browser = browser
    Handler.outdir = pathlib.Path(outdir)
    Handler.negotiator = rest[1:] if rest[:1] == ["--negotiate"] else None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{'?negotiate' if Handler.negotiator else ''}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        child = subprocess.Popen(
            command_line(browser, profile, url),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        finished = Handler.done.wait(DEADLINE_S)
        child.terminate()
        child.wait(20)
    sys.exit(0 if finished and not Handler.refused else 1)


if __name__ == "__main__":
    main()
