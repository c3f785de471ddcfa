"""A 1:1 NAT in user space, before the edge: what comes to its public address goes on from a socket
of its own, and back. Its viewers' side can be rebound to another port, as NATs do by themselves."""

import select
import threading

from host import EDGE_IP4, VIEWER_IP4, udp_socket

MEDIA_PORT = 8189
STUN_FIRST_BYTES = range(4)


class Relay:
    """For one viewer at a time. public: an address of the viewers' namespace."""

    def __init__(self, public):
        self._front = udp_socket(address=public, port=MEDIA_PORT)
        self._back = udp_socket(address=VIEWER_IP4)
        self._viewer = None
        self._lock = threading.Lock()
        self._over = False
        self.checks = []  # of the viewer, as they came
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self):
        """The viewer's port as the edge sees it."""
        return self._back.getsockname()[1]

    def rebind(self):
        """From now on all goes through another port; the old one is dead."""
        with self._lock:
            old, self._back = self._back, udp_socket(address=VIEWER_IP4)
            old.close()

    def _run(self):
        while not self._over:
            with self._lock:
                back = self._back
            try:
                ready, _, _ = select.select([self._front, back], [], [], 0.05)
                for sock in ready:
                    self._pass_on(sock, back)
            except (OSError, ValueError):
                continue  # rebound meanwhile

    def _pass_on(self, sock, back):
        data, source = sock.recvfrom(2048)
        if sock is self._front:
            self._viewer = source
            if data[0] in STUN_FIRST_BYTES:
                self.checks.append(data)
            back.sendto(data, (EDGE_IP4, MEDIA_PORT))
        elif self._viewer:
            self._front.sendto(data, self._viewer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join(5)
        self._front.close()
        self._back.close()
