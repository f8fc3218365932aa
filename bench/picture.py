"""Bar charts, as SVG written by hand."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from xml.sax.saxutils import escape

_WIDTH, _LABELS, _VALUES = 780, 280, 80
_STEP, _BAR, _TOP = 28, 16, 34
_LEGEND = 22
_COLOURS = ("#2f6fb2", "#8250df", "#d29922", "#1a7f6b", "#c4432b", "#57606a", "#a8b1bb")
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.ours { fill: #2f6fb2 } .other { fill: #a8b1bb }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .spread { stroke: #e6edf3 } .other { fill: #6e7681 }
}"""


def chart(title: str, unit: str, bars: Sequence[tuple[str, Sequence[float]]]) -> str:
    """A picture with a bar for each name: the median, and a line from the least to the most.

    :param bars: names, in which what is ours begins with ``ft``, and at least one value each
    """
    room = _WIDTH - _LABELS - _VALUES
    most = max((max(values) for _name, values in bars), default=0.0) or 1.0
    lines = [_bar(at, name, values, room / most) for at, (name, values) in enumerate(bars)]
    return _picture(f"{title}, {unit}: less is better", lines, _TOP + _STEP * len(bars) + 6)


def stacks(
    title: str, unit: str, kinds: Sequence[str], bars: Sequence[tuple[str, Sequence[float]]]
) -> str:
    """A picture with a bar for each name, made of parts, and a legend of these.

    :param kinds: what the parts are; at most seven
    :param bars: names, with a value for each of ``kinds``
    """
    room = _WIDTH - _LABELS - _VALUES
    most = max((sum(values) for _name, values in bars), default=0.0) or 1.0
    lines = [_stack(at, name, values, room / most) for at, (name, values) in enumerate(bars)]
    top = _TOP + _STEP * len(bars) + 6
    for at, kind in enumerate(kinds):
        left, above = 12 + at % 4 * 190, top + at // 4 * _LEGEND
        lines.append(
            f'<rect fill="{_COLOURS[at]}" x="{left}" y="{above}" width="12" height="12"/>'
            f'<text x="{left + 18}" y="{above + 11}">{escape(kind)}</text>'
        )
    return _picture(f"{title}: {unit}", lines, top + (len(kinds) + 3) // 4 * _LEGEND)


def _picture(title: str, lines: Sequence[str], height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n"
        f'<text class="title" x="0" y="16">{escape(title)}</text>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _stack(at: int, name: str, values: Sequence[float], scale: float) -> str:
    top, middle, left = _TOP + at * _STEP, _TOP + at * _STEP + _BAR / 2, float(_LABELS)
    parts = []
    for colour, value in zip(_COLOURS, values, strict=False):
        parts.append(
            f'<rect fill="{colour}" x="{left:.1f}" y="{top}" width="{value * scale:.1f}" '
            f'height="{_BAR}"/>'
        )
        left += value * scale
    return (
        f'<text x="{_LABELS - 8}" y="{middle + 5:g}" text-anchor="end">{escape(name)}</text>'
        + "".join(parts)
        + f'<text x="{left + 8:.1f}" y="{middle + 5:g}">{sum(values):.2f}</text>'
    )


def _bar(at: int, name: str, values: Sequence[float], scale: float) -> str:
    plain = name.replace("`", "")
    kind = "ours" if plain.startswith("ft") else "other"
    median = statistics.median(values)
    top, middle = _TOP + at * _STEP, _TOP + at * _STEP + _BAR / 2
    low, high = _LABELS + min(values) * scale, _LABELS + max(values) * scale
    return (
        f'<text x="{_LABELS - 8}" y="{middle + 5:g}" text-anchor="end">{escape(plain)}</text>'
        f'<rect class="{kind}" x="{_LABELS}" y="{top}" width="{median * scale:.1f}" '
        f'height="{_BAR}"/>'
        f'<path class="spread" d="M{low:.1f} {middle:g}H{high:.1f}"/>'
        f'<text x="{max(high, _LABELS + median * scale) + 8:.1f}" y="{middle + 5:g}">'
        f"{median:.3g}</text>"
    )
