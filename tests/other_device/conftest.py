"""A device that is not the CPU, where there is none: `device.cpp`. With CUDA, that too."""

import os
import sys
import types
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

NAME = "elsewhere"


def build(folder: Path) -> None:
    """A process has one such device, for good."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # ninja's place
    torch.utils.rename_privateuse1_backend(NAME)
    module = types.ModuleType(f"torch.{NAME}")
    vars(module).update(
        is_available=lambda: True,
        device_count=lambda: 1,
        current_device=lambda: 0,
        _is_in_bad_fork=lambda: False,
        get_rng_state=lambda *_: torch.empty(0, dtype=torch.uint8),
        set_rng_state=lambda *_: None,
        manual_seed_all=lambda seed: None,  # noqa: ARG005  torch names it
        get_amp_supported_dtype=lambda: [torch.bfloat16, torch.float16],
    )
    torch._register_device_module(NAME, module)
    torch.utils.generate_methods_for_privateuse1_backend()
    source = Path(__file__).with_name("device.cpp")
    cpp_extension.load(
        "bnq_elsewhere", [str(source)], extra_cflags=["-O0"], build_directory=str(folder), is_python_module=False
    )


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> str:
    build(tmp_path_factory.mktemp("device"))
    return NAME


@pytest.fixture(params=[NAME, "cuda"] if torch.cuda.is_available() else [NAME])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(NAME)) if request.param == NAME else "cuda"
