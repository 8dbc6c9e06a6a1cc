"""Tables on a terminal or in a file: columns of text, no wider than what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> str:
    """A table's lines. ``right`` has `r` for each column whose text goes to the right, and other letters.

    >>> print(table(["layer", "size"], [["conv1", "500"], ["ip", "4"]], "lr"))
    layer  size
    -----------
    conv1   500
    ip        4
    """
    lines = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]

    def text(line: Sequence[str]) -> str:
        parts = (
            cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(parts).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([text(lines[0]), rule, *map(text, lines[1:])])


def size(count: int) -> str:
    """Bytes in the largest unit of which there is one.

    >>> size(999), size(1500), size(61_100_000)
    ('999 B', '1.50 kB', '61.1 MB')
    """
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    if units[0] == "B":
        return f"{count} B"
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f} {units[0]}"


def shape(sizes: Iterable[int]) -> str:
    """A shape as 10 x 3 x 28 x 28."""
    return " x ".join(map(str, sizes)) or "scalar"
