"""results.json to a Markdown page. Reads nothing but what it is given."""

from plan import KEY, PROFILES

PORT_NAMES = {"net_null": "net_null (no device: what the workers could send to a NIC that makes "
                          "the checksums)",
              "af_xdp": "AF_XDP over veth into another namespace; its XDP counts what arrived"}


def _row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _head(names, right_from=1):
    yield _row(names)
    yield "|" + "|".join("---" if i < right_from else "--:" for i in range(len(names))) + "|"


def number(value):
    """Three or four figures that count, without an exponent."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _facts(facts, rounds, seconds, others):
    flags = facts["cpu_flags"]
    packages = facts["packages"]
    yield from _head(("machine", ""), 2)
    rows = (
        ("CPU", f"{facts['cpu']}, {facts['cpus']} cores seen, {facts['cpu_mhz']} MHz"),
        ("instructions", ", ".join(f"{'' if there else 'no '}{name.upper()}"
                                   for name, there in flags.items() if name != "hypervisor")),
        ("caches", ", ".join(facts["caches"])),
        ("kind", "virtual machine" if flags.get("hypervisor") else "bare metal"),
        ("memory, huge pages", f"{facts['memory_mib']} MiB, {facts['huge_pages']}"),
        ("kernel, governor", f"{facts['kernel']}, {facts['governor']}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("millrace", facts["commit"]),
        ("what else ran", f"load average {facts['load_average']:.1f} before; others had "
                          f"{100 * others:.0f} % of the CPU time meanwhile"),
        ("how", f"median of {rounds} rounds of {seconds:g} s"),
    )
    for row in rows:
        yield _row(row)


def reached(line):
    """The figure, and beside it what the bare cipher does of the same where that was measured."""
    return number(line["reached"]) + (f"; the bare cipher {number(line['cipher'])}"
                                      if "cipher" in line else "")


def _shows(shows):
    yield from _head(("asked for", "asked", "reached", ""))
    for line in shows:
        sign = "≥" if line["sense"] == "least" else "≤"
        yield _row((line["what"], f"{sign} {line['asked']:g}", reached(line),
                    "yes" if line["good"] else "**no**"))


def _order(point):
    return [PROFILES.index(point[key]) if key == "profile" else point[key] for key in KEY]


def _points(points):
    counted = "arrived" in points[0]
    yield from _head(("profile", "peers", "streams", "bytes", "workers", "Mpps", "Gbit/s",
                      "cycles a packet", "of it sealing", "the rest", "burst fill", "spread",
                      "dropped", *(["arrived"] if counted else [])))
    for p in points:
        yield _row((p["profile"], p["peers"], p["streams"], p["size"], p["workers"],
                    f"{p['mpps']:.2f}", f"{p['gbps']:.1f}", number(p["cycles_per_packet"]),
                    number(p["crypto_cycles_per_packet"]), number(p["rest_cycles_per_packet"]),
                    number(p["tx_burst_fill"]), f"{100 * p['spread']:.0f} %",
                    f"{100 * p['dropped']:.1f} %",
                    *([f"{100 * p['arrived']:.1f} %"] if counted else [])))


def markdown(results):
    """The page, as one string."""
    lines = ["# What this machine carries", "",
             *_facts(results["facts"], results["rounds"], results["seconds"], results["others"])]
    if results.get("failed"):
        lines += ["", f"**Not finished:** {results['failed']}"]
    if results.get("shows"):
        lines += ["", "## Asked and reached", "", *_shows(results["shows"])]
    for port in PORT_NAMES:
        points = sorted((p for p in results["points"] if p["port"] == port),
                        key=_order)
        if points:
            lines += ["", f"## {PORT_NAMES[port]}", "", *_points(points)]
    if results["points"]:
        lines += ["", "Bytes are of RTP payload. Mpps and Gbit/s are of all workers together, with "
                  "Ethernet, IP,", "UDP, RTP header and tag; cycles are a worker's. Spread: the "
                  "fastest round over the slowest, less one.", "Ratios hold within one run; a busy "
                  "neighbour core costs up to 40 %."]
    for drawing in results.get("drawings", ()):
        lines += ["", f"![{drawing['title']}]({drawing['file']})"]
    return "\n".join(lines) + "\n"
