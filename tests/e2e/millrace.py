"""The edge, its API, and the encoder, as contexts that clean up behind themselves."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import tempfile

from host import (EDGE_IP4, EDGE_NETNS, ROOT, VIEWER_NETNS, Failure, Netns, Process, check, inside,
                  wait_until)

HTTP_PORT = 8080
API_KEY = "key-of-the-end-to-end-tests"
PIN_DIR = "/sys/fs/bpf/millrace/edge0"
BAD_LOG = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:")
VIDEO_PAYLOAD_TYPE = 96
AUDIO_PAYLOAD_TYPE = 111


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)


class _Connection(http.client.HTTPConnection):
    """To an address in the test network; tls: an SSLContext, or None for plain HTTP."""

    tls = None

    def connect(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with inside(VIEWER_NETNS):
            self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))
        if self.tls:
            self.sock = self.tls.wrap_socket(self.sock)


def is_api(path):
    return path.startswith("/api/v3/") and not path.startswith("/api/v3/whep/")


def any_certificate():
    """An SSLContext for certificates that the test made itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(tls=None, host=EDGE_IP4, port=HTTP_PORT, seconds=5):
    """An open connection that takes one request after the other."""
    connection = _Connection(host, port, timeout=seconds)
    connection.tls = tls
    connection.connect()
    return connection


def request(method, path, body=None, headers=None, host=EDGE_IP4, port=HTTP_PORT, seconds=5,
            key=API_KEY, tls=None):
    """key: goes to the management API alone; None: to nobody."""
    connection = _Connection(host, port, timeout=seconds)
    connection.tls = tls
    headers = dict(headers or {})
    if key and is_api(path):
        headers.setdefault("Authorization", f"Bearer {key}")
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def try_request(*arguments, **keywords):
    """None where nobody answers."""
    try:
        return request(*arguments, **keywords)
    except (OSError, http.client.HTTPException):
        return None


def post_offer(sdp, stream="live", token=None, **keywords):
    headers = {"Content-Type": "application/sdp"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return request("POST", f"/whep/{stream}", sdp, headers, **keywords)


class Edge:
    """Both daemons in the edge's namespace, ready on entry.

    logs:       directory for their logs.
    build:      build directory; one with sanitizers needs no more than being named.
    dataplane,
    control:    options, {"section-option": value}, over those set here.
    On a clean exit of the context both must end with status 0, without a sanitizer's report, and
    the steering maps must be gone.
    """

    def __init__(self, logs, build, dataplane=None, control=None):
        self.logs = logs
        self.build = build
        self.run_dir = tempfile.mkdtemp(prefix="millrace-e2e.")
        self.socket = os.path.join(self.run_dir, "dataplane.sock")
        self.dataplane_options = {
            "dataplane-interface": "edge0",
            "dataplane-socket": self.socket,
            "dataplane-cores": "1" if os.cpu_count() > 1 else "0",
            "dataplane-idle": "sleep",
            "dataplane-steer-program": os.path.join(build, "ebpf", "steer.o"),
            **(dataplane or {}),
        }
        self.control_options = {
            "dataplane-socket": self.socket,
            "http-address": "0.0.0.0",
            "media-address": "198.18.77.1,fd77::1",
            "control-state": os.path.join(self.run_dir, "streams.json"),
            "access-api-keys-file": self.write("api.keys", API_KEY + "\n"),
            # All viewers of a test come from one address.
            "limits-post-per-second": "0",
            "limits-change-per-second": "0",
            **(control or {}),
        }
        self.dataplane = None
        self.control = None

    def write(self, name, text, mode=0o600):
        """A file in the run directory; return its path."""
        path = os.path.join(self.run_dir, name)
        with open(path, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        return path

    def _environment(self):
        suppressions = os.path.join(ROOT, "tests", "e2e", "lsan.supp")
        return {
            "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:fast_unwind_on_malloc=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=0",
            "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
        }

    def spawn(self, kind, options, name=None, arguments=(), wrap=lambda command: command):
        """Start one daemon; the caller ends it. wrap: makes another command of its own."""
        binary = os.path.join(self.build, kind, f"millrace-{kind}")
        command = [binary, *(f"--{key}={value}" for key, value in options.items()), *arguments]
        return Process(name or kind, wrap(command), self.logs, EDGE_NETNS, self._environment())

    def start_dataplane(self):
        self.dataplane = self.spawn("dataplane", self.dataplane_options)
        self._await(self.dataplane, lambda: "ready" in self.dataplane.log(), 60)

    def start_control(self):
        self.control = self.spawn("control", self.control_options)
        self._await(self.control, self.is_ready, 30)

    def _await(self, process, look, seconds):
        wait_until(lambda: look() or not process.alive(), seconds, f"{process.name} to be ready")
        if not process.alive():
            raise Failure(f"{process.name} gave up: {process.last_line()}")

    def is_ready(self):
        port = int(self.control_options.get("http-port", HTTP_PORT))
        host = "fd77::1" if ":" in self.control_options["http-address"] else EDGE_IP4
        tls = any_certificate() if self.control_options.get("http-tls-certificate") else None
        answer = try_request("GET", "/readyz", port=port, host=host, seconds=2, tls=tls)
        return answer is not None and answer.status == 200

    def __enter__(self):
        try:
            self.start_dataplane()
            self.start_control()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, failed, *_):
        try:
            if not failed:
                self._end_well()
        finally:
            self._kill()

    def _end_well(self):
        for process in (self.control, self.dataplane):
            status = process.stop(20)
            report = BAD_LOG.search(process.log())
            check(not report, f"{process.name}: {report.group(0) if report else ''}: see its log")
            check(status == 0, f"{process.name} ended with status {status}: {process.last_line()}")
        check(not os.path.exists(PIN_DIR), f"{PIN_DIR} is left behind")

    def _kill(self):
        for process in (self.control, self.dataplane):
            if process:
                process.kill()
        # After a data plane that died its pins are left; the next one would replace them.
        shutil.rmtree(PIN_DIR, ignore_errors=True)
        self.forget()

    def forget(self):
        """Remove the run directory; for an Edge that was made but not entered."""
        shutil.rmtree(self.run_dir, ignore_errors=True)

    # ---- the API

    def put_stream(self, name="live", video=True, audio=True, **common):
        body = dict(common)
        if video:
            body["video"] = video if isinstance(video, dict) else {}
        if audio:
            body["audio"] = audio if isinstance(audio, dict) else {}
        answer = request("PUT", f"/api/v3/streams/{name}", json.dumps(body),
                         {"Content-Type": "application/json"})
        check(answer.status in (200, 201), f"PUT of {name}: {answer.status} {answer.body}")
        return answer.json()

    def stream(self, name="live"):
        answer = request("GET", f"/api/v3/streams/{name}")
        check(answer.status == 200, f"GET of {name}: {answer.status} {answer.body}")
        return answer.json()

    def delete_stream(self, name="live"):
        answer = request("DELETE", f"/api/v3/streams/{name}")
        check(answer.status in (200, 204), f"DELETE of {name}: {answer.status} {answer.body}")

    def state(self):
        answer = request("GET", "/api/v3/dataplane")
        check(answer.status == 200, f"GET of dataplane: {answer.status} {answer.body}")
        return answer.json()

    def peers(self):
        """How many viewers hold a slot, set up or not."""
        counts = self.state()["peers"]
        return sum(counts[key] for key in ("reserving", "connecting", "ready", "closing"))

    def await_no_peers(self, seconds=5):
        """Neither control nor a worker knows a viewer any more."""
        def gone():
            workers = self.state()["workers"]
            return self.peers() == 0 and all(worker["peers"] == 0 for worker in workers)
        wait_until(gone, seconds, "every viewer's slot to be free")

    def await_legs_up(self, name="live", seconds=15):
        def up():
            return all(leg["state"] == "up" for leg in self.stream(name)["legs"].values())
        wait_until(up, seconds, f"the legs of {name} to be up")


class Encoder:
    """FFmpeg on the viewers' side: a moving picture and a tone, as two plain RTP legs.

    legs: what the API said of the stream, for the ports.
    """

    def __init__(self, logs, legs, size="1280x720", rate=25, bits="2500k", name="encoder",
                 group_s=2):
        self.logs = logs
        self.name = name
        self.rate = rate
        self.group_s = group_s
        self.gone = False
        self.command = [
            "ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin",
            "-re", "-f", "lavfi", "-i", self._picture(size),
            "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
            *(self._video(legs["video"], bits) if "video" in legs else ()),
            *(self._audio(legs["audio"]) if "audio" in legs else ()),
        ]
        self.process = None

    def _picture(self, size):
        clock = (r"drawtext=fontfile=/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
                 r":text='%{localtime\:%T} %{pts\:hms}':fontsize=h/12:fontcolor=white"
                 r":box=1:boxcolor=black@0.6:x=(w-tw)/2:y=h-th-h/12")
        return f"testsrc2=size={size}:rate={self.rate},{clock}"

    def _video(self, leg, bits):
        return [
            "-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
            "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-bf", "0", "-g", str(self.group_s * self.rate),
            "-keyint_min", str(self.group_s * self.rate), "-sc_threshold", "0", "-b:v", bits, "-maxrate", bits, "-bufsize", bits,
            "-payload_type", str(VIDEO_PAYLOAD_TYPE), "-f", "rtp", self._url(leg),
        ]

    def _audio(self, leg):
        return [
            "-map", "1:a", "-c:a", "libopus", "-b:a", "64k", "-ac", "2",
            "-payload_type", str(AUDIO_PAYLOAD_TYPE), "-f", "rtp", self._url(leg),
        ]

    @staticmethod
    def _url(leg):
        host = leg.get("group") or EDGE_IP4
        return f"rtp://{host}:{leg['port']}?pkt_size=1200"

    def __enter__(self):
        self.process = Process(self.name, self.command, self.logs, VIEWER_NETNS)
        return self

    def die(self):
        """End it on purpose, without a word."""
        self.process.kill()
        self.gone = True

    def __exit__(self, failed, *_):
        try:
            if not failed and not self.gone:
                check(self.process.alive(), f"{self.name} ended: {self.process.last_line()}")
        finally:
            self.process.kill()


__all__ = ["API_KEY", "Answer", "Edge", "Encoder", "Netns", "any_certificate", "connect",
           "post_offer", "request", "try_request"]
