"""The tail in numpy: the same arithmetic as tail.c, hence the same labels, where nothing was compiled."""

import numpy as np
from numpy.typing import NDArray

from runtime.tail.axis import Axis

__all__ = ["NumpyTail"]


class NumpyTail:
    """Labels and confidence by whole-array operations; slower than tail.c, and it allocates in every call.

    Args:
        logits_hw: height and width of the logits.
        num_classes: how many classes there are.
        rows: the frame's rows between the logits.
        columns: its columns.
    """

    def __init__(self, logits_hw: tuple[int, int], num_classes: int, rows: Axis, columns: Axis) -> None:
        self._rows, self._columns = rows, columns
        self._row_far = rows.far[:, : rows.length.max()]
        self._column_far = columns.far[:, : columns.length.max()]
        row_segment, row_within = rows.per_pixel()
        column_segment, column_within = columns.per_pixel()
        # Where each pixel lies when every block is as large as the largest.
        self._block_row = row_segment * self._row_far.shape[1] + row_within
        self._block_column = column_segment * self._column_far.shape[1] + column_within
        self._row_low, self._row_high = rows.low[row_segment], rows.high[row_segment]
        self._pixel_row_far = rows.far[row_segment, row_within][:, None]
        self._column_low, self._column_high = columns.low[column_segment], columns.high[column_segment]
        self._pixel_column_far = columns.far[column_segment, column_within]

    def write_labels(self, logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Largest class of every pixel: (C, h, w) -> (H, W), the lowest id among equals."""
        rows, columns = self._rows, self._columns
        winners = logits.argmax(axis=0).astype(np.uint8)
        top_left = winners[np.ix_(rows.low, columns.low)]
        is_pure = top_left == winners[np.ix_(rows.low, columns.high)]
        is_pure &= top_left == winners[np.ix_(rows.high, columns.low)]
        is_pure &= top_left == winners[np.ix_(rows.high, columns.high)]
        shape = (len(rows.low), self._row_far.shape[1], len(columns.low), self._column_far.shape[1])
        blocks = np.empty(shape, dtype=np.uint8)
        blocks[...] = top_left[:, None, :, None]
        row, column = np.nonzero(~is_pure)
        if row.size:
            blocks[row, :, column, :] = self._mixed_blocks(logits, row, column)
        flat = blocks.reshape(shape[0] * shape[1], shape[2] * shape[3])
        np.take(flat[self._block_row], self._block_column, axis=1, out=labels, mode="clip")

    def write_confidence(self, certainty: NDArray[np.float32], confidence: NDArray[np.uint8]) -> None:
        """Certainty (h, w) in 0..1, upsampled to (H, W) and scaled to 0..255."""
        lines = _mix(certainty[:, self._column_low], certainty[:, self._column_high], self._pixel_column_far)
        values = _mix(lines[self._row_low], lines[self._row_high], self._pixel_row_far)
        np.copyto(confidence, np.rint(values * np.float32(255)), casting="unsafe")

    def _mixed_blocks(
        self, logits: NDArray[np.float32], row: NDArray[np.intp], column: NDArray[np.intp]
    ) -> NDArray[np.uint8]:
        """Labels of N cells that several classes may win: (N,) indices -> (N, block height, block width)."""
        rows, columns = self._rows, self._columns
        top, bottom = rows.low[row], rows.high[row]
        left, right = columns.low[column], columns.high[column]
        corners = np.stack(
            [logits[:, top, left], logits[:, top, right], logits[:, bottom, left], logits[:, bottom, right]]
        )
        # A class whose largest corner is below the smallest of another is below it in the whole cell.
        is_candidate = corners.max(axis=0) >= corners.min(axis=0).max(axis=0)
        row_far, column_far = self._row_far[row][:, :, None], self._column_far[column]
        labels = np.empty((len(row), row_far.shape[1], column_far.shape[1]), dtype=np.uint8)
        labels[...] = is_candidate.argmax(axis=0)[:, None, None]
        best = np.full(labels.shape, -np.inf, dtype=np.float32)
        for class_id in np.flatnonzero(is_candidate.any(axis=1)):
            cells = np.flatnonzero(is_candidate[class_id])
            a, b, c, d = corners[:, class_id, cells, None]
            above, below = _mix(a, b, column_far[cells]), _mix(c, d, column_far[cells])
            value = _mix(above[:, None, :], below[:, None, :], row_far[cells])
            is_higher = value > best[cells]
            labels[cells] = np.where(is_higher, np.uint8(class_id), labels[cells])
            best[cells] = np.where(is_higher, value, best[cells])
        return labels


def _mix(low: NDArray[np.float32], high: NDArray[np.float32], far: NDArray[np.float32]) -> NDArray[np.float32]:
    """The one interpolation; tail.c has the same operations in the same order."""
    mixed: NDArray[np.float32] = (np.float32(1) - far) * low + far * high
    return mixed
