"""Who may use the API and who may watch; HTTPS; how often one address may come."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import ssl
import subprocess
import tempfile
import time

from host import (EDGE_IP4, EDGE_NETNS, ROOT, VIEWER_NETNS, Process, check, inside,
                  wait_until)
from millrace import (API_KEY, Edge, Encoder, HTTP_PORT, Netns, any_certificate, connect,
                      post_offer, request)
from viewers import Aiortc, Chromium

SMALL = {"size": "320x180", "rate": 15, "bits": "200k"}
SECRET = "a secret of the end-to-end tests, long enough"
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
SDP = {"Content-Type": "application/sdp"}


def recorded_offer():
    path = os.path.join(os.path.dirname(__file__), "..", "fixtures", "aiortc-offer.sdp")
    with open(path, newline="") as file:
        return file.read()


def jwt(secret=SECRET, alg="HS256", **claims):
    def text(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    signed = text(json.dumps({"alg": alg}).encode()) + "." + text(json.dumps(claims).encode())
    return signed + "." + text(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))


def expect(what, answer, status, challenge=None):
    check(answer.status == status, f"{what}: {answer.status} {answer.body}, not {status}")
    said = answer.headers.get("WWW-Authenticate")
    check(said == challenge, f"{what}: WWW-Authenticate: {said}, not {challenge}")


ASKED = 'Bearer realm="millrace"'
INVALID = ASKED + ', error="invalid_token"'
SCOPE = ASKED + ', error="insufficient_scope"'


def restart_control(edge, **options):
    """With other options; None takes one away."""
    check(edge.control.stop(10) == 0, "control did not end well")
    for key, value in options.items():
        name = key.replace("_", "-")
        if value is None:
            edge.control_options.pop(name)
        else:
            edge.control_options[name] = value
    edge.start_control()


def reload(edge, word):
    """SIGHUP, and wait for a line of the log with the word that was not there before."""
    seen = edge.control.log().count(word)
    edge.control.signal(signal.SIGHUP)
    wait_until(lambda: edge.control.log().count(word) > seen, 5, f'"{word}" in the log')


def get_locally(path):
    """From the edge's own host."""
    with inside(EDGE_NETNS):
        connection = http.client.HTTPConnection("127.0.0.1", HTTP_PORT, timeout=5)
        connection.connect()
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


class ApiNeedsKey:
    """The API asks for a key; without one configured it answers to its own host alone."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            paths = ("/api/v3/streams", "/api/v3/dataplane", "/api/v3/streams/live/peers")
            edge.put_stream()
            for path in paths:
                expect(path, request("GET", path), 200)
                expect(path, request("GET", path, key=None), 401, ASKED)
                expect(path, request("GET", path, key="not-the-key-at-all"), 401, INVALID)
                expect(path, request("OPTIONS", path, key=None), 204)
            check(get_locally(paths[0]) == 401, "the key is not asked for locally")
            answer = request("PUT", "/api/v3/streams/x", "{}", key=None)
            expect("PUT", answer, 401, ASKED)
            self.check_reload(edge)
            restart_control(edge, access_api_keys_file=None)
            for path in paths:
                answer = request("GET", path)
                expect(path, answer, 403)
                check("api_keys_file" in answer.body and answer.body.count("\n") == 1,
                      f"no advice in one line: {answer.body}")
            check(get_locally(paths[0]) == 200, "the API does not answer locally")
            expect("POST of an offer", post_offer(recorded_offer(), "nothing"), 404)
            expect("readiness", request("GET", "/readyz"), 200)
            log = edge.control.log()
            check("plain HTTP on 0.0.0.0:8080" in log and "tls_certificate" in log,
                  "no warning about plain HTTP")

    @staticmethod
    def check_reload(edge):
        """A new key holds at once; a file that everybody may read changes nothing."""
        edge.write("api.keys", "another-key-0123456789\n")
        reload(edge, "keys read anew")
        expect("the old key", request("GET", "/api/v3/streams"), 401, INVALID)
        expect("the new key", request("GET", "/api/v3/streams", key="another-key-0123456789"), 200)
        edge.write("api.keys", API_KEY + "\n", 0o644)
        reload(edge, "keys are not read anew")
        expect("the exposed key", request("GET", "/api/v3/streams"), 401, INVALID)
        edge.write("api.keys", API_KEY + "\n")
        reload(edge, "keys read anew")


class ViewerToken:
    """Where tokens are configured, only their holders watch, and only what the token names."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build)
            edge.control_options.update({
                "access-viewer-keys-file": edge.write(
                    "viewers", "key-of-live-0123456 live\nkey+of+all-01234567\n"),
                "access-jwt-key-file": edge.write("jwt", SECRET + "\n"),
            })
            with edge:
                legs = edge.put_stream()["legs"]
                edge.put_stream("other")
                self.check_tokens()
                self.check_sessions(edge)
                edge.await_no_peers()
                with Encoder(context.logs, legs, **SMALL):
                    self.check_players(context)

    @staticmethod
    def check_tokens():
        now = int(time.time())
        offer = recorded_offer()
        for what, token, stream, status, challenge in (
                ("no token", None, "live", 401, ASKED),
                ("no token, no stream", None, "nothing", 401, ASKED),
                ("unknown", "nobody-0123456789", "live", 401, INVALID),
                ("key for another", "key-of-live-0123456", "other", 403, SCOPE),
                ("key, no stream", "key+of+all-01234567", "nothing", 404, None),
                ("JWT for another", jwt(stream="live"), "other", 403, SCOPE),
                ("JWT without a stream", jwt(), "live", 403, SCOPE),
                ("expired", jwt(stream="live", exp=now - 60), "live", 401, INVALID),
                ("not yet", jwt(stream="live", nbf=now + 600), "live", 401, INVALID),
                ("forged", jwt("another secret of enough length....", stream="*"), "live", 401,
                 INVALID),
                ("none", jwt(alg="none", stream="*"), "live", 401, INVALID),
                ("too long", jwt(stream="live", x="x" * 5000), "live", 401, INVALID)):
            expect(what, post_offer(offer, stream, token), status, challenge)
        scope = jwt(scope="millrace-api", exp=now + 60)
        expect("JWT for the API", request("GET", "/api/v3/streams", key=scope), 200)
        expect("viewer at the API", request("GET", "/api/v3/streams", key="key+of+all-01234567"),
               403, SCOPE)

    @staticmethod
    def check_sessions(edge):
        """A session's URL is enough, but a token that is sent must be good."""
        answer = post_offer(recorded_offer(), "live", jwt(stream="live"))
        expect("POST", answer, 201)
        url = answer.headers["Location"]
        bad = {**FRAGMENT, "Authorization": "Bearer nobody-0123456789"}
        other = {**FRAGMENT, "Authorization": f"Bearer {jwt(stream='other')}"}
        expect("PATCH", request("PATCH", url, "", FRAGMENT), 204)
        expect("PATCH, bad token", request("PATCH", url, "", bad), 401, INVALID)
        expect("PATCH, other's token", request("PATCH", url, "", other), 403, SCOPE)
        expect("DELETE, bad token", request("DELETE", url, None, bad), 401, INVALID)
        check(edge.peers() == 1, "the session is gone")
        expect("DELETE", request("DELETE", url), 204)

    @staticmethod
    def check_players(context):
        with Aiortc(context.logs, token=jwt(stream=["a", "live"])) as viewer:
            viewer.await_playing()
            viewer.quit()
        with Chromium(context.logs, seconds=3, fragment="#token=key+of+all-01234567") as browser:
            browser.await_playing()
            last = browser.result()["last"]
            check(last["framesDecoded"] > 0, f"no picture: {last}")


class PagesAskForKeys:
    """Dashboard and player take key and token from the link or from a person, and hide them."""

    def run(self, context):
        token = "viewer+key-0123456789"
        with Netns():
            edge = Edge(context.logs, context.build)
            edge.control_options["access-viewer-keys-file"] = edge.write("viewers", token + "\n")
            with edge:
                edge.put_stream()
                self.browse(context, token)

    @staticmethod
    def browse(context, token):
        script = os.path.join(ROOT, "tests", "e2e", "browse_keys.py")
        with tempfile.TemporaryDirectory(prefix="millrace-chromium.") as home:
            browser = Process(
                "browse-keys", ["/usr/bin/python3", "-u", script, "--home", home, "--token", token,
                                "--base", f"http://{EDGE_IP4}:{HTTP_PORT}", "--key", API_KEY],
                context.logs, VIEWER_NETNS, lines=True)
            try:
                end = browser.next_event(120, lambda e: e["event"] in ("done", "failed"), "its end")
                check(end["event"] == "done", f"{end}; went well: {browser.seen}")
                check(browser.wait(20) == 0, browser.last_line())
            finally:
                browser.kill()


class SeveralFaults:
    """A request with several faults is answered for the first in the order that is promised."""

    def run(self, context):
        options = {"whep-strict-etag": "yes"}
        with Netns():
            edge = Edge(context.logs, context.build, control=options)
            edge.control_options["access-viewer-keys-file"] = edge.write(
                "viewers", "viewer-0123456789\n")
            with edge:
                edge.put_stream()
                answer = post_offer(recorded_offer(), token="viewer-0123456789")
                expect("POST", answer, 201)
                self.check_order(answer.headers["Location"], answer.headers["ETag"])

    @staticmethod
    def check_order(url, etag):
        bad = {"Authorization": "Bearer nobody-0123456789"}
        good = {"Authorization": "Bearer viewer-0123456789"}
        large = "x" * (129 * 1024)
        gone = url[:-1] + ("a" if url[-1] != "a" else "b")
        stale = {"If-Match": '"another"'}
        live = {"If-Match": etag}
        one_half = "a=ice-ufrag:abcd\r\n"
        for what, method, path, headers, body, status in (
                ("method", "PUT", gone, bad, large, 405),
                ("token", "PATCH", gone, bad, large, 401),
                ("token at the endpoint", "POST", "/whep/nothing", bad, large, 401),
                ("stream", "POST", "/whep/nothing", good, large, 404),
                ("body", "POST", "/whep/live", good, large, 413),
                ("type", "POST", "/whep/live", good, "x", 415),
                ("offer", "POST", "/whep/live", {**good, **SDP}, "x", 400),
                ("session", "PATCH", gone, good, large, 404),
                ("body of a fragment", "PATCH", url, stale, large, 413),
                ("type of a fragment", "PATCH", url, stale, "x", 415),
                ("fragment", "PATCH", url, {**FRAGMENT, **stale}, one_half, 400),
                ("precondition", "PATCH", url, {**FRAGMENT, **stale}, "", 412),
                ("no precondition", "PATCH", url, FRAGMENT, "", 428),
                ("nothing", "PATCH", url, {**FRAGMENT, **live}, "", 204)):
            answer = request(method, path, body, headers)
            check(answer.status == status, f"{what}: {answer.status} {answer.body}")


class PostFlood:
    """One address may POST so often and no more; others, and what plays, do not notice."""

    def run(self, context):
        options = {"limits-post-per-second": "1", "limits-post-burst": "10",
                   "limits-change-per-second": "1", "limits-change-burst": "20"}
        with Netns(), Edge(context.logs, context.build, control=options) as edge:
            edge.put_stream()
            offer = recorded_offer()
            answers = [post_offer(offer, "nothing") for _ in range(40)]
            statuses = [answer.status for answer in answers]
            check(statuses[:10] == [404] * 10, f"within the burst: {statuses[:10]}")
            check(set(statuses[10:]) <= {404, 429} and statuses.count(429) >= 20,
                  f"beyond it: {statuses[10:]}")
            refused = next(answer for answer in answers if answer.status == 429)
            check(1 <= int(refused.headers["Retry-After"]) <= 2,
                  f"Retry-After: {refused.headers['Retry-After']}")
            check(refused.headers["Access-Control-Allow-Origin"] == "*", "no CORS on 429")
            expect("OPTIONS", request("OPTIONS", "/whep/live"), 204)
            ended = [request("DELETE", "/whep/live/x").status for _ in range(40)]
            check(ended[:20] == [204] * 20 and ended.count(429) >= 10, f"DELETE: {ended}")
            self.check_another_address(edge, offer)

    @staticmethod
    def check_another_address(edge, offer):
        restart_control(edge, http_address="any")
        while post_offer(offer, "nothing").status != 429:
            pass
        expect("from another address", post_offer(offer, host="fd77::1"), 201)


class Https:
    """HTTPS; SIGHUP shows the new certificate while viewers and connections go on."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build)
            pair = self.make_pair(edge, "first")
            edge.control_options.update({"http-tls-certificate": pair[0], "http-tls-key": pair[1]})
            with edge:
                tls = any_certificate()
                answer = request("PUT", "/api/v3/streams/live", '{"video":{},"audio":{}}',
                                 {"Content-Type": "application/json"}, tls=tls)
                check(answer.status == 201, f"PUT: {answer.status} {answer.body}")
                check("plain HTTP" not in edge.control.log(), "a warning about plain HTTP")
                with Encoder(context.logs, answer.json()["legs"], **SMALL) as encoder, \
                        Aiortc(context.logs, scheme="https") as viewer:
                    before = viewer.await_playing()[0]
                    viewer.process.send("mark")
                    self.check_reload(edge, pair)
                    self.check_versions()
                    after = viewer.await_all(
                        lambda v: v["video"]["count"] > before["video"]["count"] + 3 * encoder.rate,
                        20, "three more seconds of picture")[0]
                    check(after["video"]["lost"] == 0 and after["video"]["longest_gap_s"] < 1,
                          f"the viewer noticed: {after['video']}")
                    viewer.quit()

    @staticmethod
    def make_pair(edge, name):
        """Self-signed. Return the paths of certificate and key."""
        paths = [os.path.join(edge.run_dir, f"{name}.{kind}") for kind in ("crt", "key")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
             f"subjectAltName=IP:{EDGE_IP4}", "-out", paths[0], "-keyout", paths[1]],
            check=True, capture_output=True)
        os.chmod(paths[1], 0o600)
        return paths

    def check_reload(self, edge, pair):
        kept = connect(any_certificate())
        first = self.shown()
        second = self.make_pair(edge, "second")
        # Half of the new pair: what is shown stays.
        os.replace(second[0], pair[0])
        reload(edge, "certificate is not read anew")
        check(self.shown() == first, "a certificate without its key is shown")
        os.replace(second[1], pair[1])
        reload(edge, "certificate read anew")
        with open(pair[0]) as file:
            wanted = ssl.PEM_cert_to_DER_cert(file.read())
        check(self.shown() == wanted != first, "the new certificate is not shown")
        kept.request("GET", "/healthz")
        check(kept.getresponse().status == 200, "a connection from before is dead")
        check(kept.sock.getpeercert(True) == first, "that connection is not from before")
        kept.close()

    @staticmethod
    def shown():
        connection = connect(any_certificate())
        try:
            return connection.sock.getpeercert(True)
        finally:
            connection.close()

    @staticmethod
    def check_versions():
        for version, good in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True),
                              (ssl.TLSVersion.TLSv1_1, False)):
            context = any_certificate()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            try:
                connect(context).close()
                served = True
            except ssl.SSLError:
                served = False
            check(served == good, f"{version.name}: {'served' if served else 'refused'}")
