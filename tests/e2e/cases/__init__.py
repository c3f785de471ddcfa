"""The cases: one class a behaviour, its name in snake case is what scripts/test e2e takes."""

import importlib
import re

_MODULES = (
    "config",
    "rights",
    "access",
    "metrics",
    "documents",
    "ingest",
    "lifecycle",
    "lint",
    "recovery",
    "streams",
    "paths",
    "playback",
    "starts",
    "quality",
    "sources",
    "workers",
    "own_nic",
    "load",
    "sanitized",
    "demo",
)


def all_cases():
    """Name to class, in the order in which they run: quick ones first."""
    found = {}
    for module in _MODULES:
        loaded = importlib.import_module(f"cases.{module}")
        for value in vars(loaded).values():
            if isinstance(value, type) and value.__module__ == loaded.__name__ and hasattr(
                    value, "run"):
                found[re.sub(r"(?<!^)(?=[A-Z])", "_", value.__name__).lower()] = value
    return found
