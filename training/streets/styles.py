"""What streets of each domain are like: widths, frequencies and colours."""

from dataclasses import dataclass

from training.streets.textures import Domain

__all__ = ["STYLES", "Colour", "Style"]

Colour = tuple[float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Style:
    """Ranges in metres, probabilities, mean numbers of things, and colours to pick from."""

    lane_m: Range
    walk_m: Range
    second_lane: float
    junction: float
    crossing: float
    parking: float
    parked_share: float
    verge: float
    yard: float
    building_share: float
    storeys: tuple[int, int]
    brick: float
    shop: float
    balcony: float
    tree_gap_m: Range
    num_persons: Range
    num_bicycles: Range
    num_riders: Range
    lane_gap_m: Range
    facades: tuple[Colour, ...]
    roofs: tuple[Colour, ...]
    paints: tuple[Colour, ...]
    clothes: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    grass: tuple[Colour, ...]
    asphalt: tuple[Colour, ...]
    paving: tuple[Colour, ...]


STYLES: dict[Domain, Style] = {
    "source": Style(
        lane_m=(3.3, 3.7),
        walk_m=(2.5, 5.5),
        second_lane=0.22,
        junction=0.4,
        crossing=0.35,
        parking=0.4,
        parked_share=0.45,
        verge=0.4,
        yard=0.35,
        building_share=0.66,
        storeys=(2, 6),
        brick=0.3,
        shop=0.3,
        balcony=0.1,
        tree_gap_m=(7, 16),
        num_persons=(1, 7),
        num_bicycles=(0, 2.2),
        num_riders=(0, 2.2),
        lane_gap_m=(8, 30),
        facades=(
            *((0.80, 0.68, 0.48), (0.72, 0.42, 0.32), (0.56, 0.62, 0.70), (0.86, 0.82, 0.72), (0.60, 0.72, 0.60)),
            *((0.86, 0.70, 0.36), (0.48, 0.44, 0.42), (0.74, 0.76, 0.78), (0.62, 0.30, 0.26), (0.50, 0.58, 0.74)),
        ),
        roofs=((0.62, 0.26, 0.18), (0.30, 0.30, 0.34), (0.46, 0.34, 0.28), (0.22, 0.32, 0.36)),
        paints=(
            *((0.82, 0.10, 0.10), (0.10, 0.22, 0.70), (0.92, 0.92, 0.94), (0.08, 0.08, 0.09), (0.66, 0.68, 0.70)),
            *((0.95, 0.75, 0.12), (0.12, 0.46, 0.24), (0.36, 0.38, 0.42), (0.90, 0.44, 0.10), (0.30, 0.60, 0.72)),
        ),
        clothes=(
            *((0.85, 0.20, 0.18), (0.16, 0.30, 0.70), (0.90, 0.88, 0.84), (0.12, 0.12, 0.14), (0.94, 0.76, 0.22)),
            *((0.22, 0.55, 0.34), (0.52, 0.36, 0.24), (0.60, 0.24, 0.56), (0.24, 0.28, 0.40), (0.66, 0.60, 0.50)),
        ),
        leaves=((0.22, 0.50, 0.14), (0.30, 0.56, 0.16), (0.14, 0.40, 0.16), (0.44, 0.58, 0.18)),
        grass=((0.34, 0.60, 0.20), (0.46, 0.62, 0.26), (0.30, 0.52, 0.18)),
        asphalt=((0.36, 0.36, 0.38), (0.42, 0.42, 0.43), (0.32, 0.33, 0.36)),
        paving=((0.66, 0.64, 0.62), (0.58, 0.58, 0.60), (0.72, 0.66, 0.58)),
    ),
    "target": Style(
        lane_m=(2.9, 3.3),
        walk_m=(2.2, 5.0),
        second_lane=0.1,
        junction=0.35,
        crossing=0.4,
        parking=0.6,
        parked_share=0.6,
        verge=0.2,
        yard=0.2,
        building_share=0.78,
        storeys=(3, 7),
        brick=0.45,
        shop=0.6,
        balcony=0.35,
        tree_gap_m=(8, 24),
        num_persons=(3, 14),
        num_bicycles=(0.5, 5),
        num_riders=(0.2, 3),
        lane_gap_m=(9, 28),
        facades=(
            *((0.58, 0.50, 0.42), (0.46, 0.30, 0.25), (0.52, 0.52, 0.50), (0.66, 0.62, 0.54), (0.40, 0.36, 0.33)),
            *((0.60, 0.52, 0.36), (0.50, 0.36, 0.28), (0.44, 0.47, 0.48), (0.68, 0.66, 0.63), (0.54, 0.42, 0.38)),
        ),
        roofs=((0.36, 0.24, 0.20), (0.24, 0.24, 0.26), (0.30, 0.27, 0.25), (0.42, 0.30, 0.24)),
        paints=(
            *((0.46, 0.12, 0.11), (0.14, 0.18, 0.32), (0.72, 0.72, 0.70), (0.07, 0.07, 0.08), (0.46, 0.47, 0.48)),
            *((0.10, 0.10, 0.12), (0.16, 0.26, 0.20), (0.26, 0.27, 0.29), (0.56, 0.52, 0.44), (0.60, 0.60, 0.60)),
        ),
        clothes=(
            *((0.42, 0.14, 0.13), (0.14, 0.18, 0.30), (0.56, 0.54, 0.50), (0.08, 0.08, 0.09), (0.62, 0.50, 0.20)),
            *((0.20, 0.28, 0.22), (0.32, 0.24, 0.18), (0.26, 0.18, 0.26), (0.18, 0.20, 0.24), (0.40, 0.37, 0.33)),
        ),
        leaves=((0.20, 0.27, 0.12), (0.30, 0.30, 0.13), (0.15, 0.22, 0.13), (0.40, 0.30, 0.14)),
        grass=((0.28, 0.32, 0.17), (0.36, 0.34, 0.20), (0.24, 0.28, 0.15)),
        asphalt=((0.30, 0.30, 0.30), (0.36, 0.35, 0.34), (0.25, 0.25, 0.26)),
        paving=((0.48, 0.46, 0.43), (0.42, 0.42, 0.41), (0.50, 0.44, 0.40)),
    ),
}
