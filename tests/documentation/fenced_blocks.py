"""The fenced code blocks of a Markdown page, each with the directive written above it.

A directive is an HTML comment of the form `<!-- name: argument -->` on the line above the fence, where no
reader sees it. One belongs to every block; the parser of pytest projects has its own.

`<!-- skip: next, the reason -->`
    The block is not run; the reason is shown as that of any skipped test. Without one it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unittest import SkipTest

from sybil import Document, Example, Region
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

__all__ = ["FencedBlock", "fenced_blocks"]

_LEXER = FencedCodeBlockLexer(language=r".+")
_DIRECTIVE = re.compile(r"<!-- (?P<name>[a-z ]+?)(?:: (?P<argument>.+?))? -->\n+\Z")


@dataclass(frozen=True)
class FencedBlock:
    """One fenced block.

    Attributes:
        language: what stands behind the opening fence.
        source: the text inside the fences.
        line: the number of the source's first line.
        start: where the block begins in the page's text.
        end: where it ends.
        directive: the name of the directive above the block, "" if there is none.
        argument: what stands behind the directive's colon.
    """

    language: str
    source: str
    line: int
    start: int
    end: int
    directive: str
    argument: str

    def region(self, evaluate: Callable[[Example], str | None]) -> Region:
        """Make an example of this block.

        Args:
            evaluate: runs the example; a text that it returns is the description of a failure.
        """
        if self.directive == "skip":
            evaluate = self._skip
        return Region(self.start, self.end, self, evaluate)

    def _skip(self, example: Example) -> str | None:
        which, _, reason = self.argument.partition(",")
        if which != "next" or not reason.strip():
            return "a skipped block needs its reason: <!-- skip: next, the reason -->"
        raise SkipTest(reason.strip())


def fenced_blocks(document: Document) -> Iterator[FencedBlock]:
    """Yield the fenced blocks of a page from top to bottom.

    Args:
        document: the page.
    """
    for region in sorted(_LEXER(document), key=lambda region: region.start):
        directive = _DIRECTIVE.search(document.text, 0, region.start)
        yield FencedBlock(
            language=region.lexemes["language"].strip(),
            source=str(region.lexemes["source"]),
            line=document.text.count("\n", 0, region.start) + 2,
            start=region.start,
            end=region.end,
            directive=directive["name"] if directive else "",
            argument=(directive["argument"] or "") if directive else "",
        )
