#!/usr/bin/python3
"""Put the OpenAPI document together.

usage: openapi.py VERSION OUT.json openapi.yaml components.yaml schemas.yaml

The three become one object; members whose names begin with x- at the root of each file hold YAML
anchors only and are dropped.
"""
import json
import sys

import yaml


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, which YAML would let win silently."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(f"{key.start_mark}: {key.value} is there twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(path):
    with open(path, encoding="utf-8") as file:
        parts = yaml.load(file, Loader)
    return {key: value for key, value in parts.items() if not key.startswith("x-")}


def main():
    version, out, paths, components, schemas = sys.argv[1:]
    document = read(paths)
    document["info"]["version"] = version
    document["components"] = {**read(components), "schemas": read(schemas)}
    with open(out, "w", encoding="ascii") as file:
        json.dump(document, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
