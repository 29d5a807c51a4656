# SPDX-License-Identifier: Apache-2.0
"""The positions of all furniture. Every side and corner of the room looks different."""

from __future__ import annotations

import numpy as np

from mvloc_ros.demo.furniture import (
    DARK,
    HEIGHT,
    LENGTH,
    OAK,
    WALNUT,
    WHITE,
    WIDTH,
    bookcase,
    box,
    chair,
    picture,
    plant,
    stand,
    table,
    window,
)
from mvloc_ros.demo.solids import Paint, Solid, turned


def furnish(rng: np.random.Generator) -> tuple[Solid, ...]:
    """All solids in the room; books and leaves are random."""
    return (
        *_north_side(),
        *_desk(),
        *_east_side(rng),
        *_south_side(),
        *_west_side(),
        *_corner(),
        *_overhead(),
        *_on_the_floor(),
        *plant(rng, (2.62, 2.14, 0.0)),
        *plant(rng, (0.95, -2.3, 0.85), 0.45),
    )


def _north_side() -> list[Solid]:
    """Two windows, curtains, a radiator and what hangs between."""
    red, blue = Paint("curtain", (0.62, 0.16, 0.14), whole=True), Paint("curtain", (0.25, 0.4, 0.75), whole=True)
    solids = [*window(-1.3, 1.4, "left view"), *window(1.15, 1.1, "right view")]
    solids += [box((x, 2.42, 1.55), (0.36, 0.1, 1.75), red) for x in (-2.2, -0.42)]
    solids.append(box((-1.3, 2.4, 2.46), (2.3, 0.05, 0.05), DARK))
    solids.append(box((1.15, 2.44, 2.12), (1.24, 0.05, 0.42), blue))
    solids.append(box((-1.3, 2.42, 0.42), (1.2, 0.1, 0.6), WHITE, south=Paint("radiator", whole=True)))
    solids.append(picture("north", 0.16, 1.75, (0.5, 0.4), "painting 0"))
    solids.append(picture("north", 0.16, 1.2, (0.35, 0.5), "calendar"))
    solids.append(picture("north", 2.2, 1.75, (0.5, 0.66), "chart"))
    return solids


def _desk() -> list[Solid]:
    """The desk under the right window, with a chair."""
    screen = Paint("monitor", whole=True)
    return [
        *table(1.2, 2.16, (1.5, 0.6, 0.75), OAK),
        stand(1.72, 2.14, 0.0, (0.42, 0.5, 0.62), WHITE, south=Paint("drawers", whole=True)),
        stand(1.05, 2.26, 0.75, (0.2, 0.14, 0.02), DARK),
        stand(1.05, 2.3, 0.77, (0.04, 0.03, 0.12), DARK),
        box((1.05, 2.27, 1.05), (0.55, 0.03, 0.34), DARK, yaw=6, south=screen),
        stand(1.0, 2.0, 0.75, (0.42, 0.14, 0.02), Paint("check", (0.3, 0.3, 0.32)), yaw=4),
        stand(1.62, 2.25, 0.75, (0.16, 0.22, 0.2), Paint("wool", (0.8, 0.5, 0.1)), yaw=-12),
        stand(0.6, 2.22, 0.75, (0.05, 0.05, 0.34), Paint("white", (0.75, 0.1, 0.1))),
        box((0.64, 2.18, 1.12), (0.22, 0.12, 0.1), Paint("white", (0.8, 0.12, 0.1)), yaw=-30, tilt=20),
        *chair(1.0, 1.8, 195, (0.16, 0.3, 0.62)),
    ]


def _east_side(rng: np.random.Generator) -> list[Solid]:
    """Bookcase, television on its cabinet, a tall clock, pictures on the bricks."""
    black = Paint("white", (0.05, 0.05, 0.05))
    return [
        *bookcase(rng, 1.25, 1.4, 2.1, 6),
        stand(2.78, -0.45, 0.0, (0.42, 1.6, 0.48), WALNUT, west=Paint("tv cabinet", whole=True)),
        stand(2.82, -0.45, 0.48, (0.2, 0.4, 0.04), black),
        stand(2.85, -0.45, 0.54, (0.05, 1.15, 0.66), black, west=Paint("television", whole=True)),
        stand(2.78, 0.22, 0.48, (0.18, 0.16, 0.34), Paint("walnut", (0.5, 0.5, 0.5))),
        stand(2.78, -1.12, 0.48, (0.18, 0.16, 0.34), Paint("walnut", (0.5, 0.5, 0.5))),
        picture("east", -0.45, 1.9, (1.3, 0.8), "painting 1"),
        picture("east", -1.42, 1.55, (0.42, 0.56), "painting 3"),
        stand(2.82, -2.05, 0.0, (0.34, 0.44, 1.95), Paint("walnut", (1.3, 0.8, 0.6))),
        box((2.64, -2.05, 1.65), (0.02, 0.36, 0.36), WALNUT, west=Paint("clock", whole=True)),
        box((2.64, -2.05, 0.8), (0.02, 0.24, 0.8), Paint("oak", (1.1, 0.9, 0.5))),
    ]


def _south_side() -> list[Solid]:
    """The door, a sideboard with things on it, coats, a dado rail and pictures."""
    door = Paint("door", whole=True)
    solids = [stand(1.75, -2.48, 0.0, (0.9, 0.05, 2.05), WHITE, north=door)]
    solids += [stand(1.75 + side * 0.5, -2.47, 0.0, (0.1, 0.07, 2.15), OAK) for side in (-1, 1)]
    solids.append(stand(1.75, -2.47, 2.05, (0.9, 0.07, 0.1), OAK))
    solids.append(box((1.4, -2.43, 1.02), (0.13, 0.05, 0.03), Paint("white", (0.5, 0.45, 0.3))))
    solids.append(stand(-0.9, -2.49, 0.92, (4.2, 0.03, 0.07), WHITE))
    solids += [
        stand(0.25, -2.27, 0.0, (1.7, 0.42, 0.85), Paint("oak", (0.3, 0.5, 0.5)), north=Paint("sideboard", whole=True)),
        stand(-0.3, -2.28, 0.85, (0.14, 0.14, 0.38), Paint("check", (0.1, 0.25, 0.7)), yaw=25),
        stand(-0.08, -2.25, 0.85, (0.11, 0.11, 0.2), Paint("check", (0.85, 0.65, 0.1)), yaw=10),
        stand(0.4, -2.3, 0.85, (0.36, 0.2, 0.16), Paint("books 3", (1.0, 1.0, 1.0), whole=True)),
        picture("south", 0.25, 1.75, (1.1, 0.85), "painting 5"),
        picture("south", -1.05, 1.8, (0.5, 0.4), "painting 4"),
        picture("south", -1.05, 1.32, (0.4, 0.5), "painting 7"),
        picture("south", -1.75, 1.6, (0.62, 0.82), "painting 9"),
        picture("south", 1.75, 2.42, (0.5, 0.3), "note"),
        stand(2.62, -2.46, 1.7, (0.6, 0.03, 0.1), OAK),
        box((2.48, -2.4, 1.3), (0.22, 0.12, 0.8), Paint("wool", (0.55, 0.1, 0.1)), tilt=3),
        box((2.76, -2.41, 1.38), (0.2, 0.1, 0.62), Paint("check", (0.75, 0.65, 0.2)), tilt=-3),
    ]
    return solids


def _west_side() -> list[Solid]:
    """Sofa with a gallery of pictures above, and the wardrobe."""
    green, light_green = Paint("wool", (0.16, 0.34, 0.24)), Paint("wool", (0.2, 0.42, 0.3))
    ochre = Paint("wool", (0.8, 0.5, 0.12))
    return [
        stand(-2.6, -0.35, 0.04, (0.78, 2.0, 0.36), green),
        stand(-2.88, -0.35, 0.4, (0.22, 2.0, 0.45), green),
        *[stand(-2.6, -0.35 + side * 0.92, 0.4, (0.76, 0.17, 0.22), green) for side in (-1, 1)],
        *[stand(-2.48, -0.35 + side * 0.42, 0.4, (0.56, 0.8, 0.1), light_green) for side in (-1, 1)],
        box((-2.66, 0.25, 0.68), (0.12, 0.42, 0.4), ochre, tilt=-18),
        box((-2.64, -0.85, 0.68), (0.12, 0.42, 0.4), Paint("check", (0.85, 0.3, 0.25)), yaw=8, tilt=-20),
        stand(-2.71, 1.85, 0.0, (0.56, 1.1, 2.0), OAK, east=Paint("wardrobe", whole=True)),
        stand(-2.7, 1.7, 2.0, (0.4, 0.5, 0.26), Paint("cardboard")),
        picture("west", -0.95, 1.62, (0.62, 0.5), "painting 2"),
        picture("west", -0.2, 1.78, (0.5, 0.72), "painting 11"),
        picture("west", 0.42, 1.55, (0.5, 0.42), "painting 6"),
        picture("west", 0.45, 2.05, (0.42, 0.34), "painting 8"),
        picture("west", -0.95, 2.1, (0.5, 0.3), "painting 14"),
        picture("west", -1.75, 1.7, (0.5, 0.66), "painting 10"),
    ]


def _corner() -> list[Solid]:
    """Armchair and floor lamp."""
    seat = Paint("check", (0.62, 0.5, 0.42))
    back = turned(40) @ np.array([-0.3, 0, 0])
    return [
        stand(-2.48, -1.98, 0.03, (0.68, 0.68, 0.39), seat, yaw=40),
        box((-2.48 + back[0], -1.98 + back[1], 0.66), (0.14, 0.68, 0.52), seat, yaw=40, tilt=-8),
        stand(-2.86, -1.55, 0.0, (0.26, 0.26, 0.03), DARK),
        stand(-2.86, -1.55, 0.03, (0.03, 0.03, 1.4), DARK),
        stand(-2.84, -1.55, 1.4, (0.28, 0.28, 0.26), Paint("wool", (1.0, 0.85, 0.55), glows_with="lamp")),
    ]


def _overhead() -> list[Solid]:
    """Beams, the ceiling lamp, cornice and a ventilation grille."""
    solids = [box((x, 0, HEIGHT - 0.07), (0.14, WIDTH, 0.14), WALNUT) for x in (-1.7, 0.1, 1.9)]
    shade = Paint("wool", (1.0, 0.92, 0.75), glows_with="ceiling")
    solids.append(box((0.1, 0, 2.42), (0.5, 0.5, 0.16), shade, yaw=45))
    solids.append(box((0.1, 0, 2.6), (0.02, 0.02, 0.2), DARK))
    grille = Paint("radiator", (0.6, 0.6, 0.6), whole=True)
    solids.append(box((-0.8, 1.4, HEIGHT - 0.01), (0.5, 0.3, 0.02), WHITE, bottom=grille))
    solids.append(box((1.1, -1.2, HEIGHT - 0.02), (0.16, 0.16, 0.04), Paint("white", (0.9, 0.3, 0.25)), yaw=20))
    solids.append(box((-2.4, -1.4, HEIGHT - 0.01), (0.6, 0.6, 0.02), Paint("white", (0.35, 0.45, 0.6))))
    return solids


def _on_the_floor() -> list[Solid]:
    """Skirting boards, the rug, a pouf, boxes and a basket along the walls."""
    rug = Paint("rug", whole=True)
    solids = [stand(0, side * (WIDTH / 2 - 0.01), 0.0, (LENGTH, 0.02, 0.1), WHITE) for side in (-1, 1)]
    solids += [stand(side * (LENGTH / 2 - 0.01), 0, 0.0, (0.02, WIDTH, 0.1), WHITE) for side in (-1, 1)]
    solids += [
        stand(-0.3, -0.2, 0.0, (2.6, 1.8, 0.012), Paint("wool", (0.5, 0.15, 0.15)), yaw=8, top=rug),
        stand(-2.45, 0.98, 0.0, (0.46, 0.46, 0.36), Paint("check", (0.2, 0.45, 0.75)), yaw=30),
        stand(2.45, -1.55, 0.0, (0.42, 0.34, 0.3), Paint("cardboard"), yaw=-20),
        stand(2.47, -1.53, 0.3, (0.28, 0.24, 0.2), Paint("cardboard", (1.2, 1.0, 0.7)), yaw=15),
        stand(-1.3, -2.25, 0.0, (0.42, 0.36, 0.42), Paint("check", (0.8, 0.65, 0.4)), yaw=5),
        stand(-0.2, 2.2, 0.0, (0.36, 0.36, 0.5), Paint("wool", (0.75, 0.55, 0.12)), yaw=15),
    ]
    return solids
