"""The same network as TorchScript gives the same bytes, on every machine and however often the process traced before.

torch numbers the classes it makes while tracing, over the life of the process, and keeps where in which file each line
of the program came from: paths of the exporting machine. Neither says anything about the network.
"""

import io
import re
import zipfile

import torch

__all__ = ["normalised"]

NUMBERED = re.compile(rb"___torch_mangle_(\d+)")
# Written by torch's writer itself: the archive's id is a hash of the records, `version` that of the format.
OWN_RECORDS = (".data/serialization_id", ".data/version", "version")
SOURCE_PLACES = ".debug_pkl"


def normalised(archive: bytes) -> bytes:
    """Leave out the places of source lines, and number the classes in order of appearance.

    Args:
        archive: what `torch.jit.save` wrote of a frozen module; freezing makes a copy, so that its class has a number
            in the first trace of a process as in every later one.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        names = [name for name in source.namelist() if not name.endswith(SOURCE_PLACES)]
        contents = {name.split("/", 1)[1]: source.read(name) for name in names}
    numbers: dict[bytes, bytes] = {}
    for name, content in contents.items():
        for number in NUMBERED.findall(name.encode() + b"\n" + (content if _is_program(name) else b"")):
            numbers.setdefault(number, str(len(numbers)).encode())

    def renumber(text: bytes) -> bytes:
        return NUMBERED.sub(lambda found: b"___torch_mangle_" + numbers[found[1]], text)

    buffer = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)
    writer.set_min_version(int(contents["version"]))
    for name, content in contents.items():
        if name not in OWN_RECORDS:
            record = renumber(content) if _is_program(name) else content
            writer.write_record(renumber(name.encode()).decode(), record, len(record))
    writer.write_end_of_file()
    return buffer.getvalue()


def _is_program(name: str) -> bool:
    """Whether a record may name classes; weights and extra files are left as they are."""
    return name in ("data.pkl", "constants.pkl") or name.startswith("code/")
