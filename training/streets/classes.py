"""Train ids of the classes this data set draws, by name."""

from runtime.labels import LABEL_SPACES

__all__ = [
    "BICYCLE",
    "BUILDING",
    "BUS",
    "CAR",
    "FENCE",
    "MOTORCYCLE",
    "PERSON",
    "POLE",
    "RIDER",
    "ROAD",
    "SIDEWALK",
    "SKY",
    "TERRAIN",
    "TRAFFIC_LIGHT",
    "TRAFFIC_SIGN",
    "TRAIN",
    "TRUCK",
    "VEGETATION",
    "WALL",
]

_id = LABEL_SPACES["cityscapes19"].train_id

ROAD, SIDEWALK, BUILDING, WALL, FENCE = map(_id, ("road", "sidewalk", "building", "wall", "fence"))
POLE, TRAFFIC_LIGHT, TRAFFIC_SIGN = map(_id, ("pole", "traffic light", "traffic sign"))
VEGETATION, TERRAIN, SKY, PERSON, RIDER = map(_id, ("vegetation", "terrain", "sky", "person", "rider"))
CAR, TRUCK, BUS, TRAIN = map(_id, ("car", "truck", "bus", "train"))
MOTORCYCLE, BICYCLE = map(_id, ("motorcycle", "bicycle"))
