"""`python -m export CONFIG`: a frozen network becomes a verified bundle."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from export.bundle import export_bundle
from export.config import ExportConfig
from export.parity import artefact_table
from runtime.command import add_config_arguments, run_command, say
from runtime.config import load_config

EPILOG = """\
BUNDLE FOLDER
  fp32.onnx, fp32.torchscript, fp32.engine   the artefacts asked for
  golden_frames.npy, golden_labels.npy       frames the runtime repeats before it is ready
  manifest.json                              hashes, classes, preprocessing, parity, provenance

Every artefact is compared with PyTorch on target frames first; one that differs is refused with the figures, and a
bundle that was there before stays.

example:
  python -m export configs/streets.yaml --set artefacts=[onnx]

exit status: 0 done, 1 failed, 2 bad usage or config, 3 an artefact was refused, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser("python -m export", description=__doc__, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_config_arguments(parser)
    options = parser.parse_args(arguments)
    return run_command(lambda: export(options))


def export(options: argparse.Namespace) -> Mapping[str, Any]:
    """Make the bundle, show what is in it, and return the key figures."""
    config = load_config(options.config, "export", ExportConfig, options.overrides)
    manifest = export_bundle(config)
    say(artefact_table(manifest.artefacts))
    say(f"bundle: {config.bundle}")
    return {
        "bundle": str(config.bundle),
        "artefacts": [
            {
                "file": artefact.file,
                "format": artefact.format,
                "bytes": artefact.num_bytes,
                "label_agreement": artefact.parity and artefact.parity.label_agreement,
                "max_confidence_difference": artefact.parity and artefact.parity.max_confidence_difference,
                "not_run": artefact.not_run,
            }
            for artefact in manifest.artefacts
        ],
        "frame_hw": [manifest.frame_height, manifest.frame_width],
        "classes": len(manifest.classes),
    }


if __name__ == "__main__":
    sys.exit(main())
