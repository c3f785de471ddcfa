"""The edge's own OpenAPI document, held against what the edge answers."""

import json
import re

import jsonschema

from host import check
from millrace import request

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


class Contract:
    """Reads the document; ask() is request() with every answer judged by it."""

    def __init__(self):
        answer = request("GET", "/api/v3/openapi.json")
        check(answer.status == 200, f"{answer.status}: {answer.body}")
        self.document = answer.json()
        self.asked = set()
        self.seen = set()
        self._resolver = jsonschema.RefResolver("", self.document)

    def _follow(self, part):
        return self._resolver.resolve(part["$ref"])[1] if "$ref" in part else part

    def is_valid(self, value, schema):
        return jsonschema.Draft202012Validator(schema, resolver=self._resolver).is_valid(value)

    def _judge(self, where, value, schema):
        validator = jsonschema.Draft202012Validator(schema, resolver=self._resolver)
        for error in validator.iter_errors(value):
            check(False, f"{where}: {error.json_path}: {error.message[:200]}")

    def template(self, path):
        """The path of the document that this one is, those without braces first."""
        for template in sorted(self.document["paths"], key=lambda t: t.count("{")):
            pattern = re.sub(r"{\w+}", "[^/]+", template.replace(".", r"\."))
            if re.fullmatch(pattern, path):
                return template
        check(False, f"{path}: not in the document")

    def methods(self, template):
        item = self._follow(self.document["paths"][template])
        return [method for method in METHODS if method in item]

    def request_schema(self, template, method):
        body = self._follow(self.document["paths"][template][method]["requestBody"])
        return next(iter(body["content"].values()))["schema"]

    def ask(self, method, path, body=None, headers=None, status=None, seconds=10, **how):
        """Ask, check the status if one is given, and judge the answer."""
        answer = request(method, path, body, headers, seconds=seconds, **how)
        name = f"{method} {path}: {answer.status}"
        check(status in (None, answer.status), f"{name}, not {status}: {answer.body[:200]}")
        template = self.template(path)
        operation = self.document["paths"][template].get(method.lower())
        check(operation, f"{name}: no such method in the document")
        response = operation["responses"].get(str(answer.status))
        check(response, f"{name}: no such status in the document: {answer.body[:200]}")
        self.asked.add((method.lower(), template))
        self.seen.add((method.lower(), template, answer.status))
        self._judge_answer(name, method, self._follow(response), answer)
        return answer

    def _judge_answer(self, name, method, response, answer):
        for field, header in response.get("headers", {}).items():
            header = self._follow(header)
            value = answer.headers.get(field)
            check(value is not None or not header.get("required"), f"{name}: no {field}")
            if value is not None:
                self._judge(f"{name}, {field}", value, header["schema"])
        if method == "HEAD":
            check(not answer.body, f"{name}: a body")
            return
        kind = (answer.headers["Content-Type"] or "").split(";")[0]
        content = response.get("content")
        if not content:
            check(not answer.body, f"{name}: a body that is not in the document")
            return
        check(kind in content, f"{name}: {kind} is not in the document")
        value = json.loads(answer.body) if kind.endswith("json") else answer.body
        self._judge(name, value, content[kind]["schema"])

    def check_all_asked(self):
        every = {(method, template) for template in self.document["paths"]
                 for method in self.methods(template)}
        check(not every - self.asked, f"never asked: {sorted(every - self.asked)}")
