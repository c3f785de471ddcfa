"""The fixed set of points, and the lines of what is asked, as testfan options."""

import itertools

PROFILES = ("gcm128", "gcm256", "cm80")
PEERS = (100, 1000, 5000, 10000)
STREAMS = (1, 10)
SIZES = (200, 1200)
WORKERS = (1, 2)
QUICK = {"profile": ("gcm128", "cm80"), "peers": (100, 5000), "streams": (1,), "workers": (1,)}
KEY = ("port", "profile", "peers", "streams", "size", "workers")


def points(ports, n_cpus, quick=False):
    """Every point once, as dicts of KEY."""
    for port in ports:
        chosen = {"profile": PROFILES, "peers": PEERS, "streams": STREAMS, "size": SIZES,
                  "workers": [n for n in WORKERS if n <= n_cpus], **(QUICK if quick else {})}
        for values in itertools.product(*(chosen[name] for name in KEY[1:])):
            yield dict(zip(KEY, (port, *values)))


def options_of(point):
    """testfan's own options for a point."""
    return [f"--{name}={point[name]}" for name in ("profile", "peers", "streams", "size")]


BASE = {"port": "net_null", "profile": "gcm128", "peers": 5000, "streams": 1, "size": 1200,
        "workers": 1}


def _point(**changes):
    return {**BASE, **changes}


# A line: name, what is asked, "least" or "most", and how it is measured.
#   ratio: packets/s of one point over the other's, in turns.
#   cipher: the bare cipher's ratio beside it, as what the machine lets one reach.
#   single: a member of one run's JSON, which with --floor or --toll takes turns itself.
#   seconds: of each turn, in place of the usual.
SHOWS = (
    {"what": "AES-128-GCM, 1200 bytes, 5000 peers: fan-out over bare-cipher floor", "asked": 0.85,
     "sense": "least", "single": _point(), "options": ["--floor", "--rounds=15"],
     "seconds": 0.3, "member": ("floor", "ratio")},
    {"what": "AES-CM-SHA1-80, likewise, over its multi-buffer floor", "asked": 0.80,
     "sense": "least", "single": _point(profile="cm80"), "options": ["--floor", "--rounds=15"],
     "seconds": 0.3, "member": ("floor", "ratio")},
    {"what": "fast engine over libsrtp2 as installed, 1000 peers", "asked": 10, "sense": "least",
     "ratio": (_point(peers=1000, engine="fast"), _point(peers=1000, engine="libsrtp2"))},
    {"what": "10,000 peers over 100 peers, packets/s", "asked": 0.9, "sense": "least",
     "ratio": (_point(peers=10000), _point(peers=100))},
    {"what": "2 workers over 1", "asked": 1.8, "sense": "least",
     "ratio": (_point(workers=2), _point()), "cipher": True},
    {"what": "200-byte packets over the 1200-byte rate, packets/s", "asked": 2.5, "sense": "least",
     "ratio": (_point(size=200), _point()), "cipher": True},
    {"what": "latency p99, ingest receive to last peer's send, 1000 peers, half load, us",
     "asked": 2000, "sense": "most", "single": _point(peers=1000),
     "options": ["--load=0.5", "--latency"], "member": ("latency_us", "p99")},
    {"what": "1000 peers that lose 2 % and ask for it: fall of the fan-out's rate beyond the share "
             "that is resent", "asked": 0.05, "sense": "most", "single": _point(peers=1000),
     "options": ["--nack=2", "--toll", "--rounds=15"], "seconds": 0.3, "member": ("toll", "over")},
    {"what": "data plane memory a peer, bytes", "asked": 4096, "sense": "most",
     "single": _point(), "options": [], "member": ("memory", "bytes_per_peer")},
)


def is_reached(line, reached):
    return reached >= line["asked"] if line["sense"] == "least" else reached <= line["asked"]
