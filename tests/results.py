"""What each run.py here says of a test: one line, which scripts/test adds up."""

MAX_REASON = 400  # characters


def report(name, verdict, reason, seconds, path=None):
    """Print "ok|FAIL|skip NAME (reason) time"; append it to the file at path, if there is one."""
    reason = " ".join(reason.split())
    if len(reason) > MAX_REASON:
        reason = reason[:MAX_REASON] + "…"
    line = f"{verdict:4} {name}{f' ({reason})' if reason else ''} {seconds:.1f} s"
    print(line, flush=True)
    if path:
        with open(path, "a") as file:
            file.write(line + "\n")
