"""A pipeline as a picture: where its environments and the arrows between them stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, ACROSS, DOWN = 200, 76, 60, 20


@dataclass(frozen=True, slots=True)
class Box:
    """An environment."""

    name: str
    strategy: str
    targets: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and arrows, in units of the picture."""

    boxes: Sequence[Box]
    arrows: Sequence[str]
    """Each the path of a line."""
    width: int
    height: int


def draw(environments: Sequence[Mapping[str, Any]]) -> Picture:
    """Each environment a column to the right of the last it comes after. They come in the order of promotion."""
    columns: dict[str, int] = {}
    filled: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for each in environments:
        name = each["name"]
        column = 1 + max((columns[before] for before in each["after"] if before in columns), default=-1)
        columns[name] = column
        row = filled.get(column, 0)
        filled[column] = row + 1
        boxes[name] = Box(
            name,
            each["strategy"],
            len(each["targets"]),
            x=column * (WIDTH + ACROSS) + 2,
            y=row * (HEIGHT + DOWN) + 2,
        )
    arrows = [
        _path(boxes[before], boxes[each["name"]])
        for each in environments
        for before in each["after"]
        if before in boxes
    ]
    width = max((box.x for box in boxes.values()), default=0) + WIDTH + 2
    height = max((box.y for box in boxes.values()), default=0) + HEIGHT + 2
    return Picture(list(boxes.values()), arrows, width, height)


def _path(start: Box, end: Box) -> str:
    x1, y1 = start.x + WIDTH, start.y + HEIGHT // 2
    x2, y2 = end.x - 3, end.y + HEIGHT // 2
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
