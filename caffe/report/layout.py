"""A report as a page of HTML that stands alone: no scripts, nothing fetched."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator

import imageio.v3
import numpy as np

from ..training_log import outputs
from .charts import histogram_chart, label, line_chart, matrix_chart, net_chart, text
from .contents import Histogram, Mistake, Report

_LARGEST_MATRIX = 120
_MOST_PAIRS = 20

_STYLE = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c2024; --soft: #60666d; --rule: #e3e6ea; --card:
  #f7f8fa; --c0: #2563eb; --c1: #d97706; --c2: #059669; --c3: #9333ea; --bar: #93a4bd; --bad: #dc2626; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e8eaed; --soft: #9aa2ab; --rule:
  #2b3036; --card: #1c2126; --c0: #6ea0ff; --c1: #f2a950; --c2: #4cc79a; --c3: #c58cff; --bar: #5d6f8a;
  --bad: #ff7676; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 60px; max-width: 1180px; background: var(--bg); color:
  var(--fg); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 10px; }
h3 { font-size: 14px; margin: 0; } p { margin: 6px 0; }
.soft, figcaption { color: var(--soft); font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 12px 0; }
dt { color: var(--soft); } dd { margin: 0; }
.note { border-left: 3px solid var(--c1); padding: 4px 12px; margin: 8px 0; background: var(--card);
  overflow-wrap: anywhere; }
.cards { display: flex; flex-wrap: wrap; gap: 14px; }
figure { margin: 0; background: var(--card); border-radius: 8px; padding: 10px 12px; max-width: 100%;
  overflow-x: auto; width: fit-content; }
svg { display: block; max-width: 100%; height: auto; } .wide svg { max-width: none; }
.wide { max-height: 640px; overflow: auto; }
svg text { fill: var(--fg); font: 11px system-ui, sans-serif; } svg text.tick { fill: var(--soft); }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); } .line { fill: none; stroke-width: 1.8; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .dot { stroke: none; }
.dot.s0 { fill: var(--c0); } .dot.s1 { fill: var(--c1); } .legend span { margin-right: 14px; }
.legend b { display: inline-block; width: 14px; height: 3px; vertical-align: middle; margin-right: 5px; }
b.s0 { background: var(--c0); } b.s1 { background: var(--c1); } b.level { background: var(--c2); }
b.threshold { background: var(--bad); } b.alpha { background: var(--c3); } .bar { fill: var(--bar); }
.mark { stroke-width: 1.4; } .mark.threshold { stroke: var(--bad); stroke-dasharray: 4 3; }
.mark.level { stroke: var(--c2); } .mark.alpha { stroke: var(--c3); } .hit { fill: var(--c0); }
.miss { fill: var(--bad); } text.count { font-size: 11px; } text.strong { fill: #fff; }
.node { fill: var(--bg); stroke: var(--soft); } .node.conv { stroke: var(--c0); stroke-width: 2; }
.node.binary { stroke: var(--c3); stroke-width: 2; } .node.quant { stroke: var(--c2); stroke-width: 2; }
.node.pool { stroke: var(--c1); stroke-width: 2; } .node.data { stroke-dasharray: 4 3; }
.edge { fill: none; stroke: var(--soft); } svg text.name { font-weight: 600; }
svg text.what { fill: var(--soft); font-size: 10px; } .mistake { width: 112px; text-align: center; }
.mistake img { width: 88px; height: 88px; object-fit: contain; image-rendering: pixelated; background:
  #000; }
.mistake figcaption { line-height: 1.3; margin-top: 4px; }
table { border-collapse: collapse; font-size: 13px; }
td, th { padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid var(--rule); white-space:
  nowrap; }
.n { text-align: right; }
"""

# A browser fetches and runs nothing, whatever a name in the report says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(report: Report) -> str:
    """The page of a report."""
    body = "\n".join(_sections(report))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{text(report.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _sections(report: Report) -> Iterator[str]:
    facts = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in _facts(report).items())
    yield f"<header><h1>{text(report.title)}</h1><dl>{facts}</dl></header>"
    yield from (f'<p class="note">{text(note)}</p>' for note in report.notes)
    if report.log:
        yield _section("curves", "Curves", "".join(_curves(report)))
    if report.confusion is not None:
        yield _section("confusion", "Confusion matrix", _confusion(report))
    if report.mistakes:
        said = "The mistakes of which the net is surest, with its answer and the truth."
        images = "".join(_mistake(mistake, report) for mistake in report.mistakes)
        yield _section(
            "mistakes", "Misclassified", f'<p class="soft">{said}</p><div class="cards">{images}</div>'
        )
    if report.activations:
        legend = _legend({"threshold": "quantizer's thresholds", "level": "its levels"})
        said = f'<p class="soft">Of the first test batch. {legend}</p>'
        yield _section("activations", "Activations", said + _histograms(report.activations))
    if report.weights:
        legend = _legend({"alpha": "mean +-alpha of binary weights"})
        yield _section("weights", "Weights", f'<p class="soft">{legend}</p>' + _histograms(report.weights))
    if report.summary:
        yield _section("net", "Net", f'<figure class="wide">{net_chart(report.summary)}</figure>')


def _section(name: str, title: str, body: str) -> str:
    return f'<section id="{name}"><h2>{title}</h2>\n{body}\n</section>'


def _facts(report: Report) -> dict[str, str]:
    facts = dict(report.facts)
    if report.summary:
        summary = report.summary
        facts["Parameters"] = f"{summary.parameters:,}"
        facts["Multiply-adds"] = f"{summary.multiply_adds // max(summary.batch, 1):,} for an image"
        facts["Weights' memory"] = (
            f"{summary.weight_bytes:,} bytes in float, {summary.weight_bytes_in_bits:,} with a bit for each "
            "binary weight"
        )
    return facts


def _curves(report: Report) -> Iterator[str]:
    log = report.log
    rows = {"train": log.train, "test": log.test}
    names = dict.fromkeys(name for part in rows.values() for row in part for name in outputs(row))
    yield '<div class="cards">'
    for name in names:
        series = {
            part: [(row["NumIters"], row[name]) for row in found if name in row]
            for part, found in rows.items()
        }
        yield _curve(name, {part: points for part, points in series.items() if points})
    most = max(rows.values(), key=len)
    rates = [(row["NumIters"], row["LearningRate"]) for row in most if not math.isnan(row["LearningRate"])]
    if rates:
        yield _curve("learning rate", {"lr": rates})
    yield "</div>"


def _curve(name: str, series: dict[str, list[tuple[float, float]]]) -> str:
    legend = "".join(
        f'<span><b class="s{i}"></b>{text(part)}, last {label(points[-1][1])}</span>'
        for i, (part, points) in enumerate(series.items())
    )
    caption = f'<figcaption class="legend">{legend}</figcaption>'
    return f"<figure><h3>{text(name)}</h3>{line_chart(name, series)}{caption}</figure>"


def _legend(kinds: dict[str, str]) -> str:
    return (
        '<span class="legend">'
        + "".join(f'<span><b class="{kind}"></b>{words}</span>' for kind, words in kinds.items())
        + "</span>"
    )


def _histograms(histograms: list[Histogram]) -> str:
    return '<div class="cards">' + "".join(map(_histogram, histograms)) + "</div>"


def _histogram(histogram: Histogram) -> str:
    levels = ", ".join(f"{label(value)}: {100 * share:.1f} %" for value, share in histogram.levels.items())
    after = f"<br>{levels}" if levels else ""
    return (
        f"<figure><h3>{text(histogram.name)}</h3>{histogram_chart(histogram)}"
        f"<figcaption>{text(histogram.values)}{after}</figcaption></figure>"
    )


def _name(report: Report, number: int) -> str:
    return report.labels[number] if 0 <= number < len(report.labels) else str(number)


def _confusion(report: Report) -> str:
    confusion = report.confusion
    names = [_name(report, i) for i in range(len(confusion))]
    parts = []
    if len(confusion) <= _LARGEST_MATRIX:
        said = "Rows are the truth, columns the net's answers; shades are shares of the row."
        parts.append(f'<p class="soft">{said}</p><figure>{matrix_chart(confusion, names)}</figure>')
    parts.append(_most_confused(confusion, names))
    return "".join(parts)


def _most_confused(confusion: np.ndarray, names: list[str]) -> str:
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    rows = "".join(
        f'<tr><td>{text(names[i])}</td><td>{text(names[j])}</td><td class="n">{wrong[i, j]:,}</td>'
        f'<td class="n">{100 * wrong[i, j] / confusion[i].sum():.2f} %</td></tr>'
        for i, j in (divmod(int(at), len(confusion)) for at in order)
        if wrong[i, j]
    )
    if not rows:
        return "<p>Nothing is confused.</p>"
    head = '<tr><th>truth</th><th>answer</th><th class="n">images</th><th class="n">of the class</th></tr>'
    return f"<h3>Most confused</h3><table>{head}{rows}</table>"


def _mistake(mistake: Mistake, report: Report) -> str:
    buffer = io.BytesIO()
    imageio.v3.imwrite(buffer, mistake.pixels, extension=".png")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    answer, truth = (text(_name(report, number)) for number in (mistake.answer, mistake.truth))
    return (
        f'<figure class="mistake"><img alt="{truth}, taken for {answer}" src="data:image/png;base64,{data}">'
        f"<figcaption>{answer} {100 * mistake.probability:.0f} %<br>is {truth}</figcaption></figure>"
    )
