#!/usr/bin/python3
"""lint.py finds what it is there to find, and nothing in a clean tree."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import conformance
import lint

CLEAN = {
    "dataplane/abi/a.h": "#pragma once\n",
    "dataplane/peer/priv/p.h": "#pragma once\n",
    "dataplane/peer/peer.c": '#include "dataplane/abi/a.h"\n#include "dataplane/peer/priv/p.h"\n',
    "control/sdp/sdp.h": "#pragma once\n",
    "control/main.c": '#include "dataplane/abi/a.h"\n#include "control/sdp/sdp.h"\n',
    ".clang-format": "BasedOnStyle: LLVM\nSortIncludes: false\n",
}


class Lint(unittest.TestCase):
    def findings(self, check, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **files}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w") as file:
                    file.write(text)
            return list(lint.CHECKS[check](root))

    def test_clean(self):
        for check in lint.CHECKS:
            self.assertEqual(self.findings(check, {}), [], check)

    def test_includes(self):
        for path, target, words in (
            ("control/x.c", "dataplane/peer/peer.c", "only dataplane/abi/"),
            ("dataplane/x.c", "control/sdp/sdp.h", "of control only"),
            ("dataplane/abi/x.h", "control/sdp/sdp.h", "of control only"),
            ("dataplane/abi/x.h", "dataplane/peer/peer.c", "outside itself"),
            ("dataplane/x.c", "dataplane/peer/priv/p.h", "private to dataplane/peer/"),
            ("tests/unit/port/x.c", "dataplane/peer/priv/p.h", "private to dataplane/peer/"),
            ("control/sdp/x.c", "sdp.h", "no such file"),
            ("control/sdp/x.c", "control/sdp/none.h", "no such file"),
        ):
            found = self.findings("includes", {path: f'\n# include "{target}"\n'})
            self.assertEqual(len(found), 1, (path, target, found))
            self.assertTrue(found[0].startswith(f"{path}:2: "), found)
            self.assertIn(words, found[0])

    def test_length(self):
        c_body = "int f(void)\n{\n" + "\tx();\n" * 78 + "}\n"
        longer = c_body.replace("{\n", "{\n\tx();\n")
        self.assertEqual(self.findings("length", {"a.c": c_body}), [])
        self.assertEqual(len(self.findings("length", {"a.c": longer})), 1)
        self.assertEqual(len(self.findings("length", {"a": "#!/bin/bash\n" + longer})), 1)
        self.assertEqual(len(self.findings("length", {"a.py": "def f():\n" + "    x\n" * 80})), 1)
        self.assertEqual(self.findings("length", {"a.js": "x\n" * 600}), [])
        self.assertEqual(len(self.findings("length", {"a.js": "x\n" * 601})), 1)
        self.assertEqual(self.findings("length", {"build/a.js": "x\n" * 601}), [])

    def test_format(self):
        self.assertEqual(len(self.findings("format", {"a.c": "int  a;\n"})), 1)

    def test_text(self):
        self.assertEqual(len(self.findings("text", {"a.c": "int a; \n"})), 1)
        self.assertEqual(len(self.findings("text", {"a.md": "no end"})), 1)


class Conformance(unittest.TestCase):
    TEST = "static void it_works(void **state)\n{\n}\nTEST(it_works)\n"

    def findings(self, shown, only=None):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "tests/unit/ice"))
            os.makedirs(os.path.join(root, "tests/e2e/cases"))
            with open(os.path.join(root, "tests/unit/ice/test_a.c"), "w") as file:
                file.write(self.TEST + "static void idle(void **state)\n{\n}\n")
            with open(os.path.join(root, "tests/e2e/cases/a.py"), "w") as file:
                file.write("class CapExact:\n")
            lines = only or [f"{group}{i + 1}" for group, n in conformance.LINES.items()
                             for i in range(n)]
            with open(os.path.join(root, "tests/conformance.md"), "w") as file:
                file.writelines(f"| {line} | words | {shown} |\n" for line in lines)
            return list(conformance.findings(root))

    def test_sound(self):
        for shown in ("`ice/test_a:it_works`", "`e2e/cap_exact`", "off", "n/a: why",
                      "`e2e/cap_exact`; missing: the rest"):
            self.assertEqual(self.findings(shown), [], shown)

    def test_faults(self):
        for shown in ("`ice/test_a:it_is_not`", "`ice/test_b:it_works`", "`e2e/cap`", "soon",
                      "`ice/test_a:idle`"):
            self.assertEqual(len(self.findings(shown)), sum(conformance.LINES.values()), shown)
        self.assertIn("left out", self.findings("off", only=["A1", "A2"])[0])


if __name__ == "__main__":
    unittest.main()
