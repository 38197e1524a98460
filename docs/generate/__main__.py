"""Build the site into site/: `make docs`.

A warning is an error, and so is anything that a page would load from a network. The pictures are those that
`make figures` drew and that are committed, so nothing is fitted or compiled here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs.generate.offline import network_requests
from docs.generate.pages import DOCS, generated_pages, write_sources, written_pages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=DOCS.parent / "site")
    parser.add_argument("--work", type=Path, default=DOCS.parent / "build")
    options = parser.parse_args()
    sources = options.work / "docs"
    write_sources({**written_pages(), **generated_pages()}, sources)
    exit_code = _build(sources, options.work / "doctrees", options.out)
    if exit_code:
        return exit_code
    requests = [f"{file.relative_to(options.out)}: {url}" for file, url in network_requests(options.out)]
    if requests:
        print("the site would ask a network for:", *dict.fromkeys(requests), sep="\n", file=sys.stderr)
        return 1
    print(options.out / "index.html")
    return 0


def _build(sources: Path, doctrees: Path, site: Path) -> int:
    """The exit code of Sphinx."""
    arguments = ["-q", "-W", "--keep-going"]
    arguments += ["-b", "html"]
    arguments += ["-c", str(DOCS)]
    arguments += ["-d", str(doctrees)]
    arguments += ["-D", f"html_static_path={sources / '_static'}"]
    return build_main([*arguments, str(sources), str(site)])


if __name__ == "__main__":
    raise SystemExit(main())
