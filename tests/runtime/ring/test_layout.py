import ctypes
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

import runtime.ring
from runtime.health.reasons import Reason, State
from runtime.result import Counters, Stages
from runtime.ring.layout import SILENT_NS, Handle, Info, Kind, Layout, RingStatus, Verdict

RING_FOLDER = Path(runtime.ring.__file__).parent
STRUCTURES: dict[str, type[ctypes.Structure]] = {
    "iapc_ring_layout": Layout,
    "iapc_ring_status": RingStatus,
    "iapc_ring_info": Info,
    "iapc_ring": Handle,
}


def asked(expressions: list[str], compile_c: Callable[..., Path], tmp_path: Path) -> list[int]:
    """What the compiler says these are."""
    lines = "\n".join(f'    printf("%lld\\n", (long long)({expression}));' for expression in expressions)
    source = tmp_path / "numbers.c"
    source.write_text(f'#include "iapc_ring.h"\nint main(void) {{\n{lines}\n    return 0;\n}}\n')
    printed = subprocess.run([compile_c(source)], capture_output=True, text=True, check=True).stdout
    return [int(line) for line in printed.split()]


def test_structures_lie_in_memory_as_the_compiler_lays_them(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    expected: dict[str, int] = {}
    for c_name, structure in STRUCTURES.items():
        expected[f"sizeof({c_name})"] = ctypes.sizeof(structure)
        for field in structure._fields_:
            expected[f"offsetof({c_name}, {field[0]})"] = getattr(structure, field[0]).offset
    assert asked(list(expected), compile_c, tmp_path) == list(expected.values())


def test_numbers_of_states_reasons_kinds_and_verdicts_are_the_same_in_c(
    compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    members = {
        "IAPC_RING_": [*Verdict, *Kind],
        "IAPC_STATE_": list(State),
        "IAPC_REASON_": list(Reason),
    }
    expected = {f"{prefix}{member.name}": int(member) for prefix, kind in members.items() for member in kind}
    expected["IAPC_RING_SILENT_NS"] = SILENT_NS
    assert asked(list(expected), compile_c, tmp_path) == list(expected.values())


def test_every_verdict_has_its_name_in_c(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    comparisons = [f'strcmp(iapc_ring_verdict_name({int(verdict)}), "{verdict.name}")' for verdict in Verdict]
    assert asked(comparisons, compile_c, tmp_path) == [0] * len(Verdict)


def test_header_has_room_for_every_stage_and_counter() -> None:
    assert Info.stage_ns.size == 8 * len(fields(Stages))
    assert RingStatus.counters.size == 8 * len(fields(Counters))


def test_offsets_that_other_programs_rely_on() -> None:
    offsets = {name: getattr(Layout, name).offset for name in ("magic", "layout_version", "kind", "height", "width")}
    assert offsets == {"magic": 0, "layout_version": 8, "kind": 16, "height": 20, "width": 24}
    assert (ctypes.sizeof(Layout), ctypes.sizeof(RingStatus), ctypes.sizeof(Info)) == (128, 128, 120)


def test_header_is_valid_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = tmp_path / "stack.cpp"
    source.write_text(
        '#include "iapc_ring.h"\nint main() { iapc_ring ring; return iapc_ring_open(&ring, "x") == 0; }\n'
    )
    command = [compiler, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{RING_FOLDER}"]
    done = subprocess.run([*command, str(source), "-o", str(tmp_path / "stack")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
