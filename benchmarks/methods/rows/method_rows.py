"""Every method in the place of the configured one; what a reader has to know of each stands below the table.

Each has its own defaults; views, labels, batch-norm policy and schedule are those of the run file for all of them.
Published figures are mIoU of GTA5 -> Cityscapes, each of its own paper and under a protocol of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.methods.rows.plus_rows import plus_row
from benchmarks.methods.rows.row import ALL, Row

__all__ = ["method_rows"]


def _method(title: str, name: str, note: str = "", published: float | None = None, **settings: Any) -> Row:
    return Row(title, {"method": {"name": name, **settings}}, published=published, note=note)


_SOURCE_FREE = (
    _method("TENT", "tent"),
    _method("P", "pseudo_label", published=43.5),
    _method("CBST", "class_balanced", "without the 3 to 6 % of source frames that the authors add", 45.9),
    _method("CRST (MRKLD)", "class_balanced", "as CBST, with the authors' regulariser", 47.1, uniformity=0.1),
    _method("MinEnt + P", "min_entropy", "entropy alone drifts to frequent classes without source labels", 42.2),
    _method("MaxSquare + P", "max_square", "labels instead of the authors' source term", 44.3, is_image_weighted=False),
    _method("MaxSquare+IW + P", "max_square", "as MaxSquare, weighted by image", 45.2, is_image_weighted=True),
    _method("UR", "uncertainty_reduction", "auxiliary heads start as copies of the classifier", 45.1),
    _method(
        "SFDA (surrogate)",
        "sfda",
        "from memory: statistics are matched and attention distilled, without the "
        "generator and the adversary of the paper",
        45.8,
    ),
    _method("LD", "label_denoising", published=45.5),
    _method("LD+BE", "label_denoising", "its second stage takes the last half of the steps", 49.2, mixed_share=0.5),
    _method("HCL", "hcl", "one classifier; 512 cells of an image are contrasted", 48.1),
    _method("DTAC", "dtac", "our reading: only title and abstract were to be had", 45.7),
    _method("ProDA (denoising)", "proda", "its first stage, without source labels and distillation"),
    _method("self-training (DAFormer, MIC)", "self_training", "source-free port: target crops are mixed with targets"),
    _method("BiCL, source-free", "bicl_source_free", "our port; source means are those of its surest target pixels"),
    _method("PRN, source-free", "prn_source_free", "our port; learns where views of a crop agree"),
    _method("PGPC, source-free", "pgpc_source_free", "our port; banks of target features alone, 1024 of a class"),
)

_WITH_SOURCE = (
    _method("AdaptSegNet", "adapt_seg_net", "one discriminator: there is no second classifier", 42.4),
    _method("AdvEnt", "adv_ent", "as AdaptSegNet", 45.5),
    _method("UDAClu", "uda_clu", "on layer-3 features", 45.9),
    _method("FDA", "fda", "one network of the authors' three, without their self-training"),
    _method("CAG-UDA", "cag", "from memory; anchors are running means"),
    _method("BiCL", "bicl", "the paper's, with calibration and dynamic labels; one stem for both domains", 57.1),
    _method("DAFormer", "daformer", "no ImageNet features; published with a transformer", 68.3),
    _method("PRN", "prn", "reconstructed from the paper's text; published with a transformer", 71.3),
    _method("PGPC", "pgpc", "completed from U2PL; published with a transformer", 71.8),
)


_IAPC = _method("IAPC", "iapc", "with its defaults", 49.4)


def method_rows(adaptation: Mapping[str, Any]) -> tuple[Row, ...]:
    """A row for every method, the configured one, by name, with its settings, and IAPC+ among them."""
    name = adaptation["method"]["name"]
    configured = replace(ALL, title=f"{'IAPC' if name == 'iapc' else name} (as configured)")
    iapc = (configured,) if name == "iapc" else (_IAPC, replace(configured, published=None))
    return (*_SOURCE_FREE, *iapc, plus_row(adaptation), *_WITH_SOURCE)
