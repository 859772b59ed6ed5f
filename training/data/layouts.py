"""Where each public data set keeps its frames and label maps.

Functions named `*_images` look at image files only. Functions named `*_labels` derive a label's path from its image's
and touch no file; `require_labels` alone looks for them.
"""

from collections.abc import Sequence
from pathlib import Path

from runtime.errors import DataError
from runtime.images import image_files
from training.data.files import ImageFiles

__all__ = [
    "camvid_images",
    "camvid_labels",
    "cityscapes_images",
    "cityscapes_labels",
    "folder_images",
    "gta5_images",
    "gta5_labels",
    "labelled_folder_labels",
    "require_labels",
    "synthia_images",
    "synthia_labels",
    "without",
]

# The SegNet tutorial's frames are PNG; smaller copies of them are JPEG under the same names.
_CAMVID_SUFFIXES = (".jpg", ".png")
_CITYSCAPES_IMAGE = "_leftImg8bit.png"


def camvid_images(root: Path, split: str) -> ImageFiles:
    """Frames listed in `ROOT/splits/SPLIT.txt`, one path below the root a line, in the list's order.

    Raises:
        DataError: the root or the list is missing, the list is empty, or a listed frame is missing.
    """
    _require_root(root, f"splits/{split}.txt and the frames it lists, such as train/NAME.png")
    split_list = root / "splits" / f"{split}.txt"
    lines = [line.strip() for line in _read_text(split_list).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"split list {split_list} is empty; expected one frame path below {root} a line")
    found = [_camvid_frame(root, line) for line in lines]
    missing = [line for line, path in zip(lines, found, strict=True) if path is None]
    if missing:
        raise DataError(
            f"split list {split_list} names {len(missing)} frames of {len(lines)} that do not exist, the first"
            f" {missing[0]}; expected it below {root}, ending in {' or '.join(_CAMVID_SUFFIXES)}"
        )
    return ImageFiles(root, tuple(path for path in found if path is not None))


def camvid_labels(images: ImageFiles) -> tuple[Path, ...]:
    """Label maps of CamVid frames: `trainannot/NAME.png` for `train/NAME.jpg`."""
    return tuple(path.parent.with_name(f"{path.parent.name}annot") / f"{path.stem}.png" for path in images.paths)


def cityscapes_images(root: Path, split: str) -> ImageFiles:
    """Frames of `leftImg8bit/SPLIT/CITY`, sorted by path.

    Raises:
        DataError: the root is missing or holds no such frame.
    """
    return _images_like(root, f"leftImg8bit/{split}/*/*{_CITYSCAPES_IMAGE}")


def cityscapes_labels(images: ImageFiles) -> tuple[Path, ...]:
    """Label maps of Cityscapes frames: `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`."""
    labels = []
    for path in images.paths:
        split, city = path.parts[-3:-1]
        name = path.name.removesuffix(_CITYSCAPES_IMAGE) + "_gtFine_labelIds.png"
        labels.append(images.root / "gtFine" / split / city / name)
    return tuple(labels)


def gta5_images(root: Path) -> ImageFiles:
    """Frames of `images`, sorted by path.

    Raises:
        DataError: the root is missing or holds no such frame.
    """
    return _images_like(root, "images/*.png")


def gta5_labels(images: ImageFiles) -> tuple[Path, ...]:
    """Label maps of GTA5 frames: `labels/NAME.png`."""
    return tuple(images.root / "labels" / path.name for path in images.paths)


def synthia_images(root: Path) -> ImageFiles:
    """Frames of `RGB`, sorted by path.

    Raises:
        DataError: the root is missing or holds no such frame.
    """
    return _images_like(root, "RGB/*.png")


def synthia_labels(images: ImageFiles) -> tuple[Path, ...]:
    """Label maps of SYNTHIA frames: `GT/LABELS/NAME.png`."""
    return tuple(images.root / "GT" / "LABELS" / path.name for path in images.paths)


def folder_images(root: Path) -> ImageFiles:
    """Every image below a folder, sorted by path.

    Raises:
        DataError: the folder is missing or holds no image.
    """
    return ImageFiles(root, tuple(image_files(root)))


def labelled_folder_labels(images: ImageFiles, folder: Path) -> tuple[Path, ...]:
    """Label maps of the images of a folder: `FOLDER/A/NAME.png` for `A/NAME.jpg`."""
    return tuple((folder / images.name(index)).with_suffix(".png") for index in range(len(images)))


def require_labels(images: ImageFiles, labels: Sequence[Path]) -> None:
    """Make sure that every frame's label file is there.

    Raises:
        DataError: one is not; names the first and counts the others.
    """
    missing = [(image, label) for image, label in zip(images.paths, labels, strict=True) if not label.is_file()]
    if missing:
        image, label = missing[0]
        raise DataError(
            f"image {image} has no label file; expected {label}"
            f" ({len(missing)} of {len(labels)} frames have none); add the files, or open the frames unlabelled"
        )


def without(images: ImageFiles, names: Sequence[str]) -> ImageFiles:
    """The frames but for those of the given names.

    Raises:
        DataError: there is no frame of such a name, or none is left.
    """
    have = {images.name(index) for index in range(len(images))}
    unknown = [name for name in names if name not in have]
    if unknown:
        raise DataError(
            f"exclude names {unknown[0]!r}, which is no frame below {images.root}; names look like {images.name(0)!r}"
        )
    left = tuple(path for index, path in enumerate(images.paths) if images.name(index) not in names)
    if not left:
        raise DataError(f"exclude names all {len(images)} frames below {images.root}; name fewer")
    return ImageFiles(images.root, left)


def _require_root(root: Path, expected: str) -> None:
    if not root.is_dir():
        raise DataError(f"data root {root} is not a folder; expected {expected} below it")


def _images_like(root: Path, pattern: str) -> ImageFiles:
    _require_root(root, pattern)
    paths = tuple(sorted(root.glob(pattern)))
    if not paths:
        raise DataError(f"data root {root} holds no frame; expected {pattern} below it")
    return ImageFiles(root, paths)


def _camvid_frame(root: Path, line: str) -> Path | None:
    listed = root / line
    candidates = (listed, *(listed.with_suffix(suffix) for suffix in _CAMVID_SUFFIXES))
    return next((path for path in candidates if path.is_relative_to(root) and path.is_file()), None)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        lists = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        raise DataError(f"split list {path} does not exist; lists found there: {lists}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"split list {path} cannot be read: {error}") from error
