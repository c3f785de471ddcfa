#!/usr/bin/python3
"""What can be said of the OpenAPI document without a server.

usage: check_document.py openapi.json openapi-3.1.json list_routes
One line a finding; exit status 1 if there is one.
"""

import json
import re
import subprocess
import sys

from jsonschema import Draft202012Validator

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def check_form(document, schema):
    """It is an OpenAPI 3.1 document, and its schemas are JSON schemas."""
    for error in Draft202012Validator(schema).iter_errors(document):
        yield f"{error.json_path}: {error.message[:200]}"
    for name, part in document["components"]["schemas"].items():
        for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(part):
            yield f"schema {name}: {error.message[:200]}"


def references(part):
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def schemes(document):
    """Security names its schemes without a reference."""
    for item in document["paths"].values():
        for method in METHODS:
            for requirement in item.get(method, {}).get("security", ()):
                yield from (f"#/components/securitySchemes/{name}" for name in requirement)


def check_references(document):
    """Each leads to a component, and to each component leads one."""
    there = {f"#/components/{kind}/{name}" for kind, parts in document["components"].items()
             for name in parts}
    used = {*references(document), *schemes(document)}
    yield from (f"{ref}: there is no such component" for ref in sorted(used - there))
    yield from (f"{ref}: nothing refers to it" for ref in sorted(there - used))


def check_parameters(document):
    """What a path has in braces is declared, and nothing else."""
    for path, item in document["paths"].items():
        declared = set()
        for parameter in item.get("parameters", ()):
            name = parameter.get("$ref", "").removeprefix("#/components/parameters/")
            declared.add(document["components"]["parameters"][name]["name"] if name
                         else parameter["name"])
        if declared != set(re.findall(r"{(\w+)}", path)):
            yield f"{path}: declares the parameters {sorted(declared)}"


def check_routes(document, lines):
    """The document has what the route table has."""
    routed = set(lines)
    documented = {f"{method} {path}" for path, item in document["paths"].items()
                  for method in METHODS if method in item}
    yield from (f"{line}: is not in the document" for line in sorted(routed - documented))
    yield from (f"{line}: is not in the route table" for line in sorted(documented - routed))


def main():
    with open(sys.argv[1]) as document_file, open(sys.argv[2]) as schema_file:
        document, schema = json.load(document_file), json.load(schema_file)
    routes = subprocess.run([sys.argv[3]], capture_output=True, text=True, check=True)
    findings = [*check_form(document, schema), *check_references(document),
                *check_parameters(document), *check_routes(document, routes.stdout.splitlines())]
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
