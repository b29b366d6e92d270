"""A bar chart as SVG, by hand: grouped bars, one group a load, one colour a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 330, 60, 48, 62
COLOURS = ("#7f8c99", "#1f6f6b", "#c07a2c", "#5b4a8a")


@dataclass(frozen=True, slots=True)
class Group:
    """Bars side by side; a value may be missing."""

    label: str
    values: tuple[float | None, ...]


def bars(title: str, names: Sequence[str], groups: Sequence[Group]) -> str:
    """Groups of as many bars as there are `names`; heights from zero, values written above."""
    most = max((value for group in groups for value in group.values if value), default=1.0)
    room = (WIDTH - LEFT - 10) / len(groups)
    parts = [_text(LEFT, 20, title, size=14, weight="600"), *_legend(names)]
    floor = HEIGHT - BOTTOM
    parts.append(f'<line x1="{LEFT}" y1="{floor}" x2="{WIDTH - 10}" y2="{floor}" stroke="#888"/>')
    for place, group in enumerate(groups):
        left = LEFT + place * room
        parts.append(_text(left + room / 2, floor + 18, group.label, anchor="middle"))
        parts += _group(group, left + room * 0.1, room * 0.8 / len(names), floor, most)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' font-family="system-ui, sans-serif"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _group(group: Group, left: float, wide: float, floor: float, most: float) -> list[str]:
    parts = []
    for number, value in enumerate(group.values):
        if value is None:
            continue
        high = value / most * (floor - TOP - 16)
        x = left + number * wide
        parts.append(
            f'<rect x="{x:.1f}" y="{floor - high:.1f}" width="{wide * 0.9:.1f}"'
            f' height="{high:.1f}" fill="{COLOURS[number % len(COLOURS)]}"/>'
        )
        above = floor - high - 4
        parts.append(_text(x + wide * 0.45, above, f"{value:,.0f}", size=9, anchor="middle"))
    return parts


def _legend(names: Sequence[str]) -> list[str]:
    parts, y, x = [], HEIGHT - 14, float(LEFT)
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<rect x="{x:.0f}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 15, y, name))
        x += 40 + 6.4 * len(name)
    return parts


def _text(
    x: float, y: float, words: str, *, size: int = 11, anchor: str = "start", weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
        f' font-weight="{weight}" fill="#222">{escape(words)}</text>'
    )
