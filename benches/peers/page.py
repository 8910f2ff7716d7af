"""Puts measured tables into a page of the documentation. Standard library only."""

import sys


def put_between_markers(page, begin, end, lines):
    """Replaces what stands between the lines `begin` and `end`; the rest of the page stays."""
    text = page.read_text(encoding="utf-8")
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        sys.exit(f"{page} lacks the lines `{begin}` and `{end}`")
    page.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")
