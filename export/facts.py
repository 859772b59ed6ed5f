"""What an artefact says about itself when it is found without its bundle."""

from runtime.bundle.manifest import InputConvention, Precision, Tail
from runtime.config import StrictModel
from runtime.labels import ClassInfo

__all__ = ["FACTS_KEY", "Facts"]

FACTS_KEY = "iapc"
"""The name under which an artefact's metadata holds `Facts` as JSON."""


class Facts(StrictModel):
    """What the manifest says of a network, inside the artefact; `schema_version` is the manifest's."""

    schema_version: int
    precision: Precision
    tail: Tail
    frame_height: int
    frame_width: int
    network_height: int
    network_width: int
    align_corners: bool
    input: InputConvention
    classes: tuple[ClassInfo, ...]
    checkpoint_sha256: str
