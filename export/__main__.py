"""`python -m export COMMAND`: a frozen network becomes a verified bundle, to be signed, checked and handed on."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from export.card.markdown import NOT_RECORDED
from export.config import ExportConfig
from export.known_options import MMDEPLOY, ULTRALYTICS, help_table
from export.summary import bundle_figures, bundle_table, origin_text
from runtime.bundle.keys import PASSPHRASE_VARIABLE, key_id, read_private_key, read_public_key
from runtime.bundle.manifest import Manifest
from runtime.bundle.opening import read_manifest, verified_path
from runtime.bundle.signature import read_signature
from runtime.command import add_config_arguments, run_command, say
from runtime.config import load_config
from runtime.errors import GateError

if TYPE_CHECKING:
    from training.config import TrainingConfig

EPILOG = """\
example:
  python -m export keygen keys
  python -m export bundle configs/streets.yaml --sign keys/private.pem
  python -m export verify runs/streets/bundle --public-key keys/public.pem
  python -m export card runs/streets/bundle

`python -m export bundle --help` lists the options of Ultralytics' and MMDeploy's exporters and what to write here.

exit status: 0 done, 1 failed, 2 bad usage or config, 3 an artefact was refused, 130 interrupted
"""
BUNDLE_EPILOG = f"""\
BUNDLE FOLDER
  fp32.onnx, int8-cpu.onnx, fp16.engine, ...  the artefacts asked for
  golden_frames.npy, golden_labels.npy        frames the runtime repeats before it is ready
  manifest.json                               hashes, classes, preprocessing, parity, provenance
  manifest.sig                                with --sign: who vouches for all of it

Every artefact is compared with PyTorch on target frames that calibration never saw. One that misses its budget is not
in the bundle: the figures are shown, the others are written, and the exit status is 3. Where none is left, a bundle
that was there before stays.

example:
  python -m export bundle configs/streets.yaml --set artefacts=[fp32.onnx,int8-cpu.onnx]

FROM ULTRALYTICS' export
{help_table(ULTRALYTICS)}

FROM MMDEPLOY'S tools/deploy.py
{help_table(MMDEPLOY)}

Keys stand in the section `export` of CONFIG or behind --set; docs/export.md tells more.

exit status: 0 done, 1 failed, 2 bad usage or config, 3 an artefact was refused, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


# Libraries that take seconds to load, torch above all, are loaded by the commands that need them alone.
def _run(options: argparse.Namespace) -> Mapping[str, Any]:
    match options.command:
        case "bundle":
            return _bundle(options)
        case "keygen":
            return _keygen(options.folder)
        case "sign":
            return _sign(options.bundle, options.key)
        case "verify":
            return _verify(options.bundle, options.public_key)
        case "triton":
            return _triton(options)
        case "card":
            return _card(options)
        case "inspect":
            return _inspect(options.file)
        case _:
            assert_never(options.command)


def _bundle(options: argparse.Namespace) -> Mapping[str, Any]:
    """Make the bundle, show what is in it, and tell what was asked for and is not."""
    config = load_config(options.config, "export", ExportConfig, options.overrides)
    if options.sign is not None:
        # Before hours are spent on what it is to sign.
        read_private_key(options.sign)
    from export.bundle import export_bundle

    training = _training(options) if config.int8.aware.when != "never" else None
    manifest = export_bundle(config, training=training, private_key=options.sign)
    say(bundle_table(manifest))
    say(f"bundle: {config.bundle}")
    written = {artefact.file for artefact in manifest.artefacts}
    refused = [name for name in config.artefacts if name not in written]
    figures = {**bundle_figures(config.bundle, manifest), "refused": refused, "key": _signer(config.bundle)}
    if refused:
        raise GateError(
            f"{', '.join(refused)} did not pass and {'is' if len(refused) == 1 else 'are'} not in the bundle, which "
            f"holds the others: {config.bundle}; the figures are above, the budgets are export.budgets",
            figures=figures,
        )
    return figures


def _training(options: argparse.Namespace) -> "TrainingConfig":
    from training.config import TrainingConfig

    # An override without a stage is meant for the export.
    overrides = [override for override in options.overrides if override.startswith("training.")]
    return load_config(options.config, "training", TrainingConfig, overrides)


def _keygen(folder: Path) -> Mapping[str, Any]:
    from export.signing import keygen

    private, public = keygen(folder)
    name = key_id(read_public_key(public))
    say(f"key {name}\n  {private} signs; keep it where bundles are made alone\n  {public} goes into vehicles")
    return {"private_key": str(private), "public_key": str(public), "key": name}


def _sign(bundle: Path, private_key: Path) -> Mapping[str, Any]:
    from export.signing import sign

    manifest = _verified(bundle, None)
    name = sign(bundle, private_key)
    say(f"{bundle} and its {len(manifest.files)} files are signed with key {name}")
    return {"bundle": str(bundle), "key": name}


def _verify(bundle: Path, public_key: Path | None) -> Mapping[str, Any]:
    manifest = _verified(bundle, public_key)
    name = _signer(bundle)
    if public_key is not None:
        trust = f"signed with key {name}, as required"
    elif name is not None:
        trust = f"says it is signed with key {name}; not checked: give --public-key"
    else:
        trust = "not signed"
    say(bundle_table(manifest))
    say(origin_text(manifest))
    say(f"{bundle}: {len(manifest.files)} files are what the manifest says; {trust}")
    figures = bundle_figures(bundle, manifest)
    return {**figures, "files": len(manifest.files), "key": name, "is_signature_verified": public_key is not None}


def _triton(options: argparse.Namespace) -> Mapping[str, Any]:
    from export.triton_repository import write_triton_repository

    _verified(options.bundle, options.public_key)
    models = write_triton_repository(
        options.bundle, options.folder, artefacts=tuple(options.artefacts), instances=options.instances
    )
    say("\n".join(f"{model.name}: {model.artefact} on {model.platform}" for model in models))
    say(f"model repository: {options.folder}")
    return {
        "bundle": str(options.bundle),
        "repository": str(options.folder),
        "models": [{"name": model.name, "artefact": model.artefact, "platform": model.platform} for model in models],
    }


def _card(options: argparse.Namespace) -> Mapping[str, Any]:
    from export.card.write import card_folder, write_card

    bundle: Path = options.bundle
    manifest = _verified(bundle, options.public_key)
    name = _signer(bundle)
    checked = "not checked" if options.public_key is None else "checked"
    signature = "there is none" if name is None else f"of key {name}, {checked}"
    figures = write_card(bundle, manifest, options.output or card_folder(bundle), signature=signature)
    say(
        f"{figures['model_card']}\n{figures['data_statement']}\n{figures['questions']} questions to the owner, "
        f"{figures['not_recorded']} times {NOT_RECORDED}"
    )
    return {"bundle": str(bundle), **figures}


def _inspect(file: Path) -> Mapping[str, Any]:
    from export.inspect_artefact import facts_text, read_facts

    facts = read_facts(file)
    say(facts_text(facts))
    return {"file": str(file), **facts.model_dump(mode="json")}


def _verified(bundle: Path, public_key: Path | None) -> Manifest:
    manifest = read_manifest(bundle, public_key)
    for entry in manifest.files:
        verified_path(bundle, entry)
    return manifest


def _signer(bundle: Path) -> str | None:
    found = read_signature(bundle)
    return None if found is None else found[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m export", description=__doc__, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, purpose: str, epilog: str | None = None) -> argparse.ArgumentParser:
        formatter = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(name, help=purpose, description=purpose, epilog=epilog, formatter_class=formatter)

    bundle = add("bundle", "freeze a checkpoint into a bundle of artefacts, each proven first", BUNDLE_EPILOG)
    add_config_arguments(bundle)
    passphrase_help = f"an encrypted one takes its passphrase from {PASSPHRASE_VARIABLE}"
    bundle.add_argument("--sign", type=Path, metavar="KEY", help=f"private key; {passphrase_help}")

    keygen = add("keygen", "make a pair of signing keys; none that is there is overwritten")
    folder_help = f"where private.pem and public.pem go; {PASSPHRASE_VARIABLE} encrypts the private one"
    keygen.add_argument("folder", type=Path, metavar="FOLDER", help=folder_help)

    sign = add("sign", "check a bundle's files and sign it, for keys that stay on a machine of their own")
    sign.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    sign.add_argument("key", type=Path, metavar="KEY", help=f"private key; {passphrase_help}")

    verify = add("verify", "check every file of a bundle and its signature, and tell what it holds and who made it")
    verify.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    triton = add("triton", "write artefacts of a bundle as a model repository of the Triton Inference Server")
    triton.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    triton.add_argument("folder", type=Path, metavar="FOLDER", help="where the model repository goes")
    artefact_help = "artefact to serve, for example fp16.onnx; may be repeated; the first that can be, if left out"
    triton.add_argument("--artefact", dest="artefacts", action="append", default=[], metavar="NAME", help=artefact_help)
    triton.add_argument("--instances", type=int, default=1, metavar="N", help="copies of a model that Triton runs")
    card = add("card", "write a bundle's model card and data statement, with questions to their owner")
    card.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    output_help = "where the two pages go; a page that is there is never overwritten; BUNDLE-card if left out"
    card.add_argument("--output", type=Path, metavar="FOLDER", help=output_help)
    for command in (verify, triton, card):
        command.add_argument(
            "--public-key",
            type=Path,
            metavar="FILE",
            help="require the signature of this key, and nothing in the folder that it does not cover",
        )

    inspect = add("inspect", "tell what a lone artefact is: sizes, input, classes, checkpoint")
    inspect.add_argument("file", type=Path, metavar="FILE", help=".onnx, .torchscript or .pt2")
    return parser


if __name__ == "__main__":
    sys.exit(main())
