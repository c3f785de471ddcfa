#!/usr/bin/env python3
"""Write the web pages into one C table.

usage: embed.py OUT.c FILE...

Each file becomes a row of web_pages[]: its name, content type, strong ETag (from its SHA-256) and
bytes. The bytes are written as string literals, 16 to a line, so that the compiler reads them fast.
"""
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


def literal(data):
    # Octal takes at most three digits, so a digit that follows is never drawn in.
    lines = (data[i : i + 16] for i in range(0, len(data), 16))
    return "\n".join('\t"' + "".join(f"\\{b:03o}" for b in line) + '"' for line in lines) or '\t""'


def row(path):
    data = path.read_bytes()
    etag = hashlib.sha256(data).hexdigest()[:32]
    return (
        "{\n"
        f'\t.name = "{path.name}",\n'
        f'\t.content_type = "{TYPES[path.suffix]}",\n'
        f'\t.etag = "\\"{etag}\\"",\n'
        f"\t.body_bytes = {len(data)},\n"
        f"\t.body =\n{literal(data)},\n"
        "},\n"
    )


def main():
    out, files = sys.argv[1], [pathlib.Path(name) for name in sys.argv[2:]]
    with open(out, "w", encoding="ascii") as c:
        c.write("// Written by control/web/embed.py.\n")
        c.write('#include "control/web/priv/pages.h"\n\n')
        c.write("const struct web_page web_pages[] = {\n")
        c.writelines(row(path) for path in files)
        c.write("};\n\n")
        c.write("const size_t n_web_pages = sizeof(web_pages) / sizeof(*web_pages);\n")


if __name__ == "__main__":
    main()
