"""Memory that a model no longer needs: of a mapped checkpoint, pages that no tensor of the model needs go."""

import mmap
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bnq.torch import memory, quantize_

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 512)
        self.linear = nn.Linear(512, 4096)
        self.register_buffer("turned", torch.randn(8, 16).t())
        self.register_buffer("none", torch.empty(0))
        self.register_buffer("conjugate", torch.randn(4, dtype=torch.complex64).conj())

    def forward(self, ids: Tensor) -> Tensor:
        return self.linear(self.embedding(ids))


def mapped_model(folder: Path) -> Model:
    """A model all of whose tensors lie in a file, every page of it in memory."""
    torch.manual_seed(0)
    with (folder / "model.pt").open("wb") as file:
        torch.save(Model().state_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    model = Model()
    model.load_state_dict(torch.load(folder / "model.pt", mmap=True), assign=True)
    assert all(t.sum().isfinite() for t in model.state_dict().values())
    return model


def resident_kb(folder: Path) -> int:
    """Of the file, in this process."""
    areas = Path("/proc/self/smaps").read_text().split("VmFlags")
    sizes = [re.search(r"^Rss: +(\d+)", area, re.MULTILINE) for area in areas if str(folder / "model.pt") in area]
    return sum(int(size[1]) for size in sizes if size)


def test_pages_that_nothing_needs_go_and_no_tensor_changes(tmp_path: Path) -> None:
    model = mapped_model(tmp_path)
    kept = ("embedding.weight", "turned", "none", "conjugate")
    before = {name: model.state_dict()[name].clone() for name in kept}
    places = {name: model.state_dict()[name].data_ptr() for name in kept}
    size = resident_kb(tmp_path)
    assert size > 8000
    with torch.inference_mode(), torch.device("meta"):
        quantize_(model)
    left = resident_kb(tmp_path)
    for name in kept:
        tensor = model.state_dict()[name]
        assert torch.equal(tensor, before[name]), name
        assert tensor.data_ptr() == places[name]
        assert not tensor.is_inference()
    if left == size:
        pytest.skip("this system keeps pages of files")
    assert left < 1000


def test_what_others_wrote_and_hold_is_kept(tmp_path: Path) -> None:
    model = mapped_model(tmp_path)
    weight = model.linear.weight
    with torch.no_grad():
        weight[5] = 7  # in memory alone, not in the file
    before = weight.detach().clone()
    quantize_(model)
    assert torch.equal(weight, before)


def test_file_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.bin")
    path.write_bytes(bytes(8192))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE):
        quantize_(nn.Sequential(nn.Linear(8, 8)))


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_tensors_without_a_storage() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    model.register_buffer("rows", torch.eye(3).to_sparse_csr())
    assert quantize_(model).layers[0].name == "0"


def test_parts_of_one_file(tmp_path: Path) -> None:
    np.arange(1 << 20, dtype=np.float32).tofile(tmp_path / "model.pt")
    values = np.memmap(tmp_path / "model.pt", dtype=np.float32, mode="c")
    model = nn.Sequential(nn.Linear(8, 8))
    model.register_buffer("whole", torch.from_numpy(values[:512]))
    model.register_buffer("part", torch.from_numpy(values[8:16]))
    quantize_(model)
    assert torch.equal(model.whole, torch.arange(512.0))
    model.whole.fill_(3)
    assert (model.part == 3).all()
    assert values[1 << 19] == 1 << 19


def test_systems_that_say_nothing_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAPS", tmp_path / "none")
    model = mapped_model(tmp_path)
    size = resident_kb(tmp_path)
    quantize_(model)
    assert resident_kb(tmp_path) == size
