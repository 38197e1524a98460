"""Build the site into site/: `make docs`. Any warning, and anything a page would load from a network, is an
error.

KINETICS_SMALL=1 draws the curve of one model and leaves out the others': a look at the text, in less than a
minute.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs.generate.offline import network_requests
from docs.generate.pages import DOCS, generated_pages, write_sources, written_pages
from kinetics.inference.devices import use_compile_cache


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=DOCS.parent / "site")
    parser.add_argument("--work", type=Path, default=DOCS.parent / "build")
    given = parser.parse_args()
    use_compile_cache()
    small = ("stein_2019",) if os.environ.get("KINETICS_SMALL") == "1" else None
    sources = given.work / "docs"
    write_sources({**written_pages(), **generated_pages(small)}, sources)
    arguments = [
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-c",
        str(DOCS),
        "-d",
        str(given.work / "doctrees"),
    ]
    if code := build_main(
        [*arguments, "-D", f"html_static_path={sources / '_static'}", str(sources), str(given.out)]
    ):
        return code
    asked = [f"{file.relative_to(given.out)}: {address}" for file, address in network_requests(given.out)]
    if asked:
        print("the site would ask a network for:", *dict.fromkeys(asked), sep="\n", file=sys.stderr)
        return 1
    print(given.out / "index.html")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
