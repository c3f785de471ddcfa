"""The curves, as SVG that is the same for the same results."""

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "millrace",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a929c",
    "xtick.color": "#4a525c",
    "ytick.color": "#4a525c",
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
})

import matplotlib.pyplot as plt  # noqa: E402

COLORS = {"gcm128": "#0b6fb8", "gcm256": "#7a3fb0", "cm80": "#d9661f"}
NAMES = {"gcm128": "AES-128-GCM", "gcm256": "AES-256-GCM", "cm80": "AES-CM-SHA1-80"}
PORTS = {"net_null": "net_null", "af_xdp": "AF_XDP over veth"}


def _values(points, name):
    """What occurs, in order; profiles and ports in ours."""
    order = {"profile": list(NAMES), "port": list(PORTS)}.get(name)
    found = {p[name] for p in points}
    return [v for v in order if v in found] if order else sorted(found)


def _pick(points, **wanted):
    chosen = [p for p in points if all(p[key] == value for key, value in wanted.items())]
    return sorted(chosen, key=lambda p: p["peers"])


def _save(figure, path):
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    # matplotlib ends lines of paths with spaces.
    with open(path) as file:
        text = "".join(line.rstrip() + "\n" for line in file)
    with open(path, "w") as file:
        file.write(text)


def _label_peers(axes, points):
    peers = _values(points, "peers")
    axes.set_xscale("log")
    axes.set_xticks(peers, [f"{n:,}" for n in peers])
    axes.minorticks_off()


def _panel(axes, points, port, size):
    mine = _pick(points, port=port, size=size)
    for profile in _values(mine, "profile"):
        for workers in _values(mine, "workers"):
            one = _pick(mine, profile=profile, workers=workers, streams=1)
            axes.plot([p["peers"] for p in one], [p["mpps"] for p in one], color=COLORS[profile],
                      marker="o", markersize=4.5, linewidth=1.8,
                      linestyle="-" if workers == 1 else (0, (4, 2)))
            ten = [p for p in _pick(mine, profile=profile, workers=workers) if p["streams"] > 1]
            axes.plot([p["peers"] for p in ten], [p["mpps"] for p in ten], color=COLORS[profile],
                      marker="o", markersize=6.5, fillstyle="none", linestyle="none")
    axes.set_title(f"{PORTS[port]}, {size} bytes")
    _label_peers(axes, points)
    axes.set_ylim(0, 1.08 * max((p["mpps"] for p in mine), default=1))


def _legend(figure, points):
    handles = [plt.Line2D([], [], color=COLORS[p], marker="o", markersize=4.5, label=NAMES[p])
               for p in _values(points, "profile")]
    workers, streams = _values(points, "workers"), _values(points, "streams")
    if len(workers) > 1:
        handles += [plt.Line2D([], [], color="#4a525c", linestyle="-", label="1 worker"),
                    plt.Line2D([], [], color="#4a525c", linestyle=(0, (4, 2)),
                               label=f"{workers[-1]} workers")]
    if len(streams) > 1:
        handles.append(plt.Line2D([], [], color="#4a525c", marker="o", markersize=6.5,
                                  fillstyle="none", linestyle="none",
                                  label=f"{streams[-1]} streams"))
    _head(figure, "Packets sealed and sent", handles)


def _head(figure, title, handles):
    """Title and legend, so many inches from the top, whatever the height; then the panels."""
    high = figure.get_figheight()
    figure.text(0.012, 1 - 0.12 / high, title, ha="left", va="top", fontsize=13,
                fontweight="bold")
    figure.legend(handles=handles, loc="upper left", ncol=len(handles), frameon=False,
                  bbox_to_anchor=(0.004, 1 - 0.38 / high), columnspacing=1.6, handletextpad=0.5)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.7 / high), h_pad=1.6)


def packets(points, path):
    """Packets a second against viewers: a panel for each port and size."""
    ports, sizes = _values(points, "port"), _values(points, "size")
    figure, axes = plt.subplots(len(ports), len(sizes), squeeze=False,
                                figsize=(9.6, 1.3 + 3.1 * len(ports)))
    for row, port in zip(axes, ports):
        for panel, size in zip(row, sizes):
            _panel(panel, points, port, size)
        row[0].set_ylabel("million packets a second")
    for panel in axes[-1]:
        panel.set_xlabel("viewers, each with keys of its own")
    _legend(figure, points)
    _save(figure, path)


def cycles(points, path):
    """Where a worker's cycles go: bars by viewers, sealing below, the rest on top."""
    mine = [p for p in points if p["port"] == "net_null" and p["workers"] == 1
            and p["streams"] == 1]
    sizes, profiles = _values(mine, "size"), _values(mine, "profile")
    peers = _values(mine, "peers")
    figure, axes = plt.subplots(1, len(sizes), squeeze=False, sharey=True, figsize=(9.6, 4.2))
    width = 0.8 / max(1, len(profiles))
    for panel, size in zip(axes[0], sizes):
        for i, profile in enumerate(profiles):
            for p in _pick(mine, profile=profile, size=size):
                x = peers.index(p["peers"]) + (i - (len(profiles) - 1) / 2) * width
                crypto, rest = p["crypto_cycles_per_packet"], p["rest_cycles_per_packet"]
                panel.bar(x, crypto, width * 0.9, color=COLORS[profile])
                panel.bar(x, rest, width * 0.9, bottom=crypto, color=COLORS[profile], alpha=0.32)
        panel.set_title(f"net_null, {size} bytes, 1 worker, 1 stream")
        panel.set_xticks(range(len(peers)), [f"{n:,}" for n in peers])
        panel.set_xlabel("viewers, each with keys of its own")
        panel.grid(axis="x", visible=False)
    axes[0][0].set_ylabel("cycles a packet")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[p], label=NAMES[p]) for p in profiles]
    handles += [plt.Rectangle((0, 0), 1, 1, color="#4a525c", label="sealing"),
                plt.Rectangle((0, 0), 1, 1, color="#4a525c", alpha=0.32, label="all the rest")]
    _head(figure, "Where the cycles go", handles)
    _save(figure, path)


def draw(points, folder):
    """Every drawing that the points are enough for; return file and title of each."""
    drawings = []
    if points:
        packets(points, f"{folder}/packets.svg")
        drawings.append({"file": "packets.svg", "title": "Packets sealed and sent"})
    if any(p["port"] == "net_null" and p["workers"] == 1 for p in points):
        cycles(points, f"{folder}/cycles.svg")
        drawings.append({"file": "cycles.svg", "title": "Where the cycles go"})
    return drawings
