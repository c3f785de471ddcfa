"""What cannot work is refused in one clear line, and leaves what runs alone."""

import os

from host import check
from millrace import Edge, Netns, PIN_DIR

FAULTS = (
    # section and line, what the complaint names
    ("[http]\nport = 70000\n", "http", "port"),
    ("[media]\nport = many\n", "media", "port"),
    ("[dataplane]\nidle = perhaps\n", "dataplane", "idle"),
    ("[dataplane]\ncores = 1-\n", "dataplane", "cores"),
    ("[http]\ncolour = blue\n", "http", "colour"),
)


def end_of(process, seconds=30):
    """Status and the lines it wrote."""
    try:
        status = process.wait(seconds)
    finally:
        process.kill()
    return status, process.log().splitlines()


def check_refused(process, words, status=None):
    """It ends by itself, not with 0, and one of its last lines has all the words."""
    ended, lines = end_of(process)
    check(ended > 0 and (status is None or ended == status),
          f"{process.name} ended with status {ended}")
    check(any(all(word in line for word in words) for line in lines),
          f"{process.name}: no line with {words}: {lines[-3:]}")


class BadConfiguration:
    """A bad file: status 2, and each fault as file:line and option."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build)
            path = os.path.join(context.logs, "bad.conf")
            for kind in ("dataplane", "control"):
                for number, (text, section, option) in enumerate(FAULTS):
                    with open(path, "w") as file:
                        file.write("# a comment\n" + text)
                    process = edge.spawn(kind, {"config": path}, f"{kind}-{number}")
                    check_refused(process, (f"{path}:3:", f"[{section}]", option), 2)
                process = edge.spawn(kind, {"http-port": "x"}, f"{kind}-option")
                check_refused(process, ("--http-port",), 2)
                process = edge.spawn(kind, {"config": path + ".none"}, f"{kind}-no-file")
                check_refused(process, (path + ".none",), 2)
            edge.forget()


class GoodConfiguration:
    """--check-config of a good file: status 0, and nothing is started."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build)
            path = os.path.join(context.logs, "good.conf")
            with open(path, "w") as file:
                file.write("[http]\nport = 8081\n[dataplane]\ninterface = edge0\n")
            for kind in ("dataplane", "control"):
                process = edge.spawn(kind, {"config": path}, arguments=["--check-config"])
                status, lines = end_of(process)
                check(status == 0, f"{kind}: status {status}: {lines[-1:]}")
            check(not os.path.exists(PIN_DIR), "something was started")
            edge.forget()


class MissingNic:
    """An interface that is not there."""

    def run(self, context):
        with Netns():
            edge = Edge(context.logs, context.build, dataplane={"dataplane-interface": "nic7"})
            try:
                check_refused(edge.spawn("dataplane", edge.dataplane_options), ("nic7",))
            finally:
                edge.forget()


class Taken:
    """A port, a region or an interface that is in use: the second gives up, the first goes on."""

    def run(self, context):
        with Netns(), Edge(context.logs, context.build) as edge:
            edge.put_stream()
            second = edge.spawn("dataplane", edge.dataplane_options, "dataplane-2")
            check_refused(second, (edge.socket,))
            second = edge.spawn("control", {**edge.control_options, "http-port": "8081"},
                                "control-2")
            check_refused(second, ("control",))
            other = Edge(context.logs, context.build)
            try:
                second = edge.spawn(
                    "control", {**edge.control_options, "dataplane-socket": other.socket},
                    "control-3")
                check_refused(second, ("8080",))
                second = edge.spawn(
                    "dataplane", {**edge.dataplane_options, "dataplane-socket": other.socket},
                    "dataplane-3")
                check_refused(second, ("edge0", "another data plane"))
            finally:
                other.forget()
            check(edge.dataplane.alive() and edge.control.alive(), "the first did not go on")
            check(edge.is_ready(), "the first is not ready any more")
            check(edge.stream()["id"] == "live", "the first forgot its stream")
            check(os.path.exists(PIN_DIR), "the first lost its maps")
