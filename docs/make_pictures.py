"""Rewrites what is generated in protocol.md: the pictures and the tables that the code has.

``python docs/make_pictures.py`` does it; ``tests/test_pictures.py`` says whether it is needed.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted_ft.errors import known_codes
from twisted_ft.wire.machine import TABLES, TURN, State, Table

PAGE = Path(__file__).with_name("protocol.md")
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def picture(table: Table) -> str:
    """A table as a state diagram in Mermaid; what leads the same way shares an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in table.items():
        for (speaker, word), after in row.items():
            start = "[*]" if state is State.START else state.name
            end = "[*]" if after is State.ENDED else after.name
            arrows.setdefault((start, end), []).append(f"{speaker.value} {word.__name__}")
    lines = [f"    {start} --> {end}: {', '.join(said)}" for (start, end), said in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def states() -> str:
    """Each state with its sentence, whose turn it is, and what may be said."""
    lines = ["| state | | turn | what may be said |", "|---|---|---|---|"]
    for name, table in TABLES.items():
        for state, row in table.items():
            if state in (State.START, State.ENDED):
                continue
            said = ", ".join(f"{speaker.value} {word.__name__}" for speaker, word in row)
            turn = TURN[state].value if state in TURN else "nobody's"
            lines.append(f"| {state.name} ({name}) | {state.value} | {turn} | {said} |")
    return "\n".join(lines)


def codes() -> str:
    """Every code of a failure, with its meaning."""
    lines = ["| code | meaning |", "|---|---|"]
    for code, meaning in known_codes().items():
        lines.append(f"| `{code}` | {' '.join(meaning.split())} |")
    return "\n".join(lines)


def generated() -> dict[str, str]:
    """Each block that is generated, by its name in the page."""
    pictures = {name: picture(table) for name, table in TABLES.items()}
    return {**pictures, "states": states(), "codes": codes()}


def current(page: str) -> str:
    """``page`` with each of its blocks as it should be."""
    blocks = generated()
    return _BLOCK.sub(lambda found: f"{found[1]}{blocks[found[2]]}\n{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
