"""The machine that the cases run on: namespaces, processes, sockets, waiting.

Nothing here knows the edge. Processes are ended by their own id only.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EDGE_NETNS = "mr-edge"
VIEWER_NETNS = "mr-view"
EDGE_IP4 = "198.18.77.1"
EDGE_IP6 = "fd77::1"
VIEWER_IP4 = "198.18.77.2"

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class Failure(Exception):
    """The behaviour is not what the case expects."""


class Skip(Exception):
    """The case cannot be run here; the text says why."""


def check(truth, text):
    if not truth:
        raise Failure(text)


def wait_until(look, seconds, what):
    """Call look() until it returns something true, and return that; Failure after the deadline."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s for {what}")
        time.sleep(0.05)


@contextlib.contextmanager
def inside(netns):
    """Sockets made by this thread meanwhile belong to that namespace."""
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{netns}") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {netns}")
        try:
            yield
        finally:
            _libc.setns(here.fileno(), CLONE_NEWNET)


def in_netns(netns, *command):
    """Run a command there and return what it printed; it must succeed."""
    done = subprocess.run(["nsenter", f"--net=/run/netns/{netns}", *command], capture_output=True,
                          text=True)
    check(done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def udp_socket(netns=VIEWER_NETNS, address=VIEWER_IP4, port=0):
    with inside(netns):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


class Process:
    """A child in a session of its own; dies with this process, whatever happens to it.

    name:  for messages and the log file.
    netns: where it runs; None is here.
    lines: parse stdout as one JSON object a line, for next_event() and latest().
    """

    def __init__(self, name, command, logs, netns=None, env=None, lines=False):
        self.name = name
        self.log_path = os.path.join(logs, f"{name}.log")
        enter = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        self._log = open(self.log_path, "ab")
        self._log_start = self._log.tell()  # another of that name may have written before
        self._popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "env", "--default-signal=INT", *enter, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if lines else self._log,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        self._events = queue.Queue()
        self.seen = []
        self._reader = None
        if lines:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self):
        with self._popen.stdout as stdout:
            for line in stdout:
                with contextlib.suppress(ValueError):
                    self._events.put(json.loads(line))
        self._events.put(None)

    @property
    def pid(self):
        return self._popen.pid

    def alive(self):
        return self._popen.poll() is None

    def status(self):
        """Of its exit; None while it runs."""
        return self._popen.poll()

    def log(self):
        with open(self.log_path, "rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def last_line(self):
        return (self.log().splitlines() or ["(no output)"])[-1]

    def send(self, line):
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def next_event(self, seconds, want=lambda event: True, what="an event"):
        """The next event that want() likes; the others are kept in self.seen."""
        end = time.monotonic() + seconds
        while True:
            try:
                event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Failure(f"{self.name}: waited {seconds} s for {what}") from None
            if event is None:
                self._events.put(None)
                raise Failure(f"{self.name} ended instead of {what}: {self.last_line()}")
            self.seen.append(event)
            if want(event):
                return event

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds):
        """Return the exit status; Failure if it has not ended by then."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {seconds} s") from None

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL if that does not help. Return the exit status."""
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        finally:
            self.kill()

    def kill(self):
        """End it and what it started at once; for finally clauses."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        if self._reader:
            self._reader.join(5)
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._log.close()


class Netns:
    """The test network, for as long as the context lasts."""

    def __init__(self, queues=2):
        self.queues = queues

    def _run(self, *arguments):
        script = os.path.join(ROOT, "scripts", "netns")
        done = subprocess.run([script, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"scripts/netns {' '.join(arguments)}: {done.stderr.strip()}")

    def __enter__(self):
        check(not os.path.exists(f"/run/netns/{EDGE_NETNS}"),
              f"namespace {EDGE_NETNS} is in use; if by nobody: scripts/netns down")
        self._run("up", "--queues", str(self.queues))
        return self

    def __exit__(self, *_):
        self._run("down")
