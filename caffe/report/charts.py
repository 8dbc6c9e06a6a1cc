"""Charts as SVG, in the page's colors: lines, histograms, a matrix, a net."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..summary import NetSummary
from .contents import Histogram

#: The classes of a chart's lines, in training and in test, which the page gives colors.
SERIES = ["s0", "s1"]


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two, at most so many.

    >>> ticks(0, 10, 6)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def label(value: float) -> str:
    """A number at an axis: 1,500, 0.25, 1e-05."""
    if value == 0:
        return "0"
    if abs(value) >= 1000 and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}"


def text(value: object) -> str:
    """A value as text of the page, whatever signs it has.

    >>> text("a < b")
    'a &lt; b'
    """
    return html.escape(str(value))


def _svg(width: float, height: float, body: str, name: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{text(name)}">{body}</svg>'
    )


class _Frame:
    """A chart's area with its axes: places of values in it."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], size: tuple[float, float], log: bool):
        self.width, self.height = size
        self.left, self.right, self.top, self.bottom = 56, 22, 8, 26
        self.x_range, self.log = x, log
        self.y_range = tuple(math.log10(value) for value in y) if log else y

    def x(self, value: float) -> float:
        low, high = self.x_range
        inner = self.width - self.left - self.right
        return self.left + inner * (value - low) / ((high - low) or 1)

    def y(self, value: float) -> float:
        low, high = self.y_range
        if self.log:
            value = math.log10(value)
        inner = self.height - self.top - self.bottom
        return self.height - self.bottom - inner * (value - low) / ((high - low) or 1)

    def axes(self, y_labels: bool = True) -> str:
        parts = []
        if y_labels:
            low, high = self.y_range
            values = [10.0**v for v in range(math.ceil(low), math.floor(high) + 1)] if self.log else []
            for value in values if len(values) > 1 else self._plain_ticks():
                y = self.y(value)
                end = self.width - self.right
                parts.append(
                    f'<line class="grid" x1="{self.left}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}"/>'
                    f'<text class="tick" x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">'
                    f"{label(value)}</text>"
                )
        for value in ticks(*self.x_range):
            parts.append(
                f'<text class="tick" x="{self.x(value):.1f}" y="{self.height - 8}" text-anchor="middle">'
                f"{label(value)}</text>"
            )
        base = self.height - self.bottom
        parts.append(
            f'<line class="axis" x1="{self.left}" x2="{self.width - self.right}" y1="{base}" y2="{base}"/>'
        )
        return "".join(parts)

    def _plain_ticks(self) -> list[float]:
        low, high = self.y_range
        if self.log:
            return [value for value in ticks(10**low, 10**high, 4) if value > 0]
        return ticks(low, high, 5)


def line_chart(name: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Curves over iterations; the y axis is logarithmic where values span more than fiftyfold."""
    points = [(x, y) for line in series.values() for x, y in line if math.isfinite(y)]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    log = min(ys) > 0 and max(ys) / min(ys) > 50
    low, high = min(ys), max(ys)
    if high == low:
        # One value stands in the middle.
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    frame = _Frame((min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1), (low, high), (520, 230), log)
    body = [frame.axes()]
    for style, (part, line) in zip(SERIES, series.items(), strict=False):
        places = [
            f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in line if math.isfinite(y) and (y > 0 or not log)
        ]
        body.append(f'<polyline class="line {style}" points="{" ".join(places)}"/>')
        if len(places) <= 60:
            body += [
                f'<circle class="dot {style}" r="2.5" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}">'
                f"<title>{text(part)}: {label(y)} at {label(x)}</title></circle>"
                for x, y in line
                if math.isfinite(y) and (y > 0 or not log)
            ]
    return _svg(frame.width, frame.height, "".join(body), name)


def histogram_chart(histogram: Histogram) -> str:
    """Bars with the marks over them."""
    most = max(histogram.counts, default=0) or 1
    frame = _Frame((histogram.low, histogram.high), (0, most), (360, 130), False)
    frame.left, frame.top = 10, 14
    bins = len(histogram.counts)
    width = (histogram.high - histogram.low) / bins
    body = []
    for i, count in enumerate(histogram.counts):
        if not count:
            continue
        left, right = (frame.x(histogram.low + k * width) for k in (i, i + 1))
        y = frame.y(count)
        body.append(
            f'<rect class="bar" x="{left:.1f}" y="{y:.1f}" width="{max(right - left - 0.4, 0.4):.1f}" '
            f'height="{frame.height - frame.bottom - y:.1f}"><title>{label(histogram.low + i * width)} to '
            f"{label(histogram.low + (i + 1) * width)}: {count:,}</title></rect>"
        )
    for kind, places in histogram.marks.items():
        for place in places:
            x = frame.x(place)
            body.append(
                f'<line class="mark {text(kind)}" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top - 8}" '
                f'y2="{frame.height - frame.bottom}"><title>{text(kind)} {label(place)}</title></line>'
            )
    body.append(frame.axes(y_labels=False))
    return _svg(frame.width, frame.height, "".join(body), f"{histogram.name}: {histogram.values}")


def matrix_chart(confusion: np.ndarray, names: Sequence[str]) -> str:
    """A confusion matrix; each row's shades are shares of its class."""
    classes = len(confusion)
    cell = 36 if classes <= 12 else max(4, 480 // classes)
    left = 20 + 7 * max((min(len(name), 18) for name in names), default=1) if cell >= 12 else 10
    top = 22 if cell >= 18 else 8
    body = []
    sums = confusion.sum(1)
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            if not count:
                continue
            share = count / sums[i]
            x, y = left + j * cell, top + i * cell
            style = "hit" if i == j else "miss"
            # The square root shows what is rare.
            body.append(
                f'<rect class="{style}" x="{x}" y="{y}" width="{cell - 1}" height="{cell - 1}" '
                f'fill-opacity="{max(0.06, math.sqrt(share)):.3f}"><title>{text(names[i])} taken for '
                f"{text(names[j])}: {count:,} ({100 * share:.1f} %)</title></rect>"
            )
            if cell >= 24:
                strong = " strong" if share > 0.4 else ""
                body.append(
                    f'<text class="count{strong}" x="{x + cell / 2 - 0.5}" y="{y + cell / 2 + 4}" '
                    f'text-anchor="middle">{count}</text>'
                )
        if cell >= 12:
            body.append(
                f'<text class="tick" x="{left - 6}" y="{top + i * cell + cell / 2 + 4}" text-anchor="end">'
                f"{text(names[i][:18])}</text>"
            )
        if cell >= 24:
            body.append(
                f'<text class="tick" x="{left + i * cell + cell / 2}" y="{top - 6}" text-anchor="middle">'
                f"{text(names[i][:5])}</text>"
            )
    size = classes * cell
    return _svg(left + size + 4, top + size + 4, "".join(body), "confusion matrix")


_NODE_WIDTH, _NODE_HEIGHT, _GAP_X, _GAP_Y = 178, 34, 16, 18
# Room to the right for edges that pass by layers.
_LANES = 48
_KINDS = {
    "Convolution": "conv",
    "Deconvolution": "conv",
    "InnerProduct": "conv",
    "BinaryConvolution": "binary",
    "BinaryInnerProduct": "binary",
    "Quant": "quant",
    "Pooling": "pool",
}


def net_chart(summary: NetSummary) -> str:
    """The layers of a net as boxes, each below those that it reads."""
    layers = [layer for layer in summary.layers if layer.type != "Split"]
    copies = {
        top: layer.bottoms[0] for layer in summary.layers if layer.type == "Split" for top in layer.tops
    }
    maker: dict[str, int] = {}
    rank: list[int] = []
    edges: list[tuple[int, int]] = []
    for i, layer in enumerate(layers):
        sources = {maker[name] for name in (copies.get(b, b) for b in layer.bottoms) if name in maker}
        rank.append(max((rank[j] + 1 for j in sources), default=0))
        edges += [(j, i) for j in sorted(sources)]
        maker.update(dict.fromkeys(layer.tops, i))
    rows: dict[int, list[int]] = {}
    for i, r in enumerate(rank):
        rows.setdefault(r, []).append(i)
    widest = max(map(len, rows.values()), default=1)
    width = widest * (_NODE_WIDTH + _GAP_X) + _GAP_X + _LANES
    x, y = {}, {}
    for r, members in rows.items():
        # Each near the middle of what it reads.
        middle = {i: np.mean([x[j] for j, k in edges if k == i] or [(width - _LANES) / 2]) for i in members}
        members.sort(key=lambda i: middle[i])
        row_width = len(members) * (_NODE_WIDTH + _GAP_X) - _GAP_X
        last = width - _LANES - row_width - _GAP_X
        start = min(max(np.mean(list(middle.values())) - row_width / 2, _GAP_X), last)
        for place, i in enumerate(members):
            x[i] = start + place * (_NODE_WIDTH + _GAP_X) + _NODE_WIDTH / 2
            y[i] = _GAP_Y + r * (_NODE_HEIGHT + _GAP_Y)
    body = []
    right = {r: max(x[i] for i in members) + _NODE_WIDTH / 2 for r, members in rows.items()}
    for number, (j, i) in enumerate(edges):
        if rank[i] == rank[j] + 1:
            x1, y1, x2, y2 = x[j], y[j] + _NODE_HEIGHT, x[i], y[i]
            bend = (y1 + y2) / 2
            path = f"M{x1:.0f} {y1} C{x1:.0f} {bend:.0f} {x2:.0f} {bend:.0f} {x2:.0f} {y2}"
        else:
            # Past the layers between, in a lane at their right.
            x1, x2 = x[j] + _NODE_WIDTH / 2, x[i] + _NODE_WIDTH / 2
            y1, y2 = y[j] + _NODE_HEIGHT * 0.7, y[i] + _NODE_HEIGHT * 0.3
            lane = max(right[r] for r in range(rank[j], rank[i] + 1)) + 10 + 8 * (number % 4)
            path = f"M{x1:.0f} {y1:.0f} H{lane:.0f} V{y2:.0f} H{x2:.0f}"
        body.append(f'<path class="edge" d="{path}"/>')
    for i, layer in enumerate(layers):
        left = x[i] - _NODE_WIDTH / 2
        shapes = ", ".join("x".join(map(str, sizes)) or "scalar" for sizes in layer.tops.values())
        kind = _KINDS.get(layer.type, "data" if not layer.bottoms else "other")
        hint = f"{layer.name} ({layer.type}): {shapes}; {layer.parameters:,} parameters"
        body.append(
            f'<g><title>{text(hint)}</title><rect class="node {kind}" x="{left:.0f}" y="{y[i]}" '
            f'width="{_NODE_WIDTH}" height="{_NODE_HEIGHT}" rx="5"/>'
            f'<text class="name" x="{x[i]:.0f}" y="{y[i] + 14}" text-anchor="middle">'
            f"{text(layer.name[:26])}</text>"
            f'<text class="what" x="{x[i]:.0f}" y="{y[i] + 27}" text-anchor="middle">'
            f"{text(layer.type[:18])} {text(shapes[:18])}</text></g>"
        )
    height = (max(rows, default=0) + 1) * (_NODE_HEIGHT + _GAP_Y) + _GAP_Y
    return _svg(width, height, "".join(body), "the net's layers")
