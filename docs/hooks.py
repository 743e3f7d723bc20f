"""What the site needs beyond MkDocs: files of the project's folder as pages, and formulas as MathML.

A page whose front matter says ``source: BENCHMARKS.md`` shows that file of the project's folder, then what it says
itself. Links in the file are relative to where it is; here they are made relative to the page.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).parent.parent
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?![a-z]+:|#|/)(?P<path>[^)# ]+)(?P<anchor>#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """The file that the front matter names, its links as they are from the page.

    A link to what the site does not show, such as a module, becomes its text.
    """
    source = page.meta.get("source")
    if not source:
        return markdown
    docs = Path(config.docs_dir)
    pages = {ROOT / named: docs / name for name, named in _sources(docs).items()}

    def relative(link: re.Match[str]) -> str:
        target = Path(os.path.normpath((ROOT / source).parent / link["path"]))
        shown = pages.get(target, target)
        if not shown.is_relative_to(docs) or not shown.is_file():
            return link["text"]
        return f"{link['picture']}[{link['text']}]({os.path.relpath(shown, docs)}{link['anchor'] or ''})"

    return LINK.sub(relative, (ROOT / source).read_text()) + "\n" + markdown


def on_page_content(content: str, **_: Any) -> str:
    """Formulas as MathML, which browsers show without a script."""
    return FORMULA.sub(
        lambda found: convert(html.unescape(found[2]), "block" if found[1] == "div" else "inline"), content
    )


def _sources(docs: Path) -> dict[str, str]:
    """Pages that show a file of the project's folder."""
    named = {page.name: re.match(r"---\nsource: (\S+)\n", page.read_text()) for page in docs.glob("*.md")}
    return {name: found[1] for name, found in named.items() if found}
