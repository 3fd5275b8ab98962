"""Memory that a model no longer needs: a mapped checkpoint is left when little of it is still in use."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bnq.torch import memory, quantize_

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")


class Model(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 32)
        self.linear = nn.Linear(32, 512)
        self.register_buffer("turned", torch.randn(8, 16).t())
        self.register_buffer("part", self.turned[2:4])

    def forward(self, ids: Tensor) -> Tensor:
        return self.linear(self.embedding(ids))


def mapped_model(folder: Path, words: int = 16) -> Model:
    """A model all of whose tensors lie in a file."""
    torch.manual_seed(0)
    torch.save(Model(words).state_dict(), folder / "model.pt")
    model = Model(words)
    model.load_state_dict(torch.load(folder / "model.pt", mmap=True), assign=True)
    return model


def is_mapped(folder: Path) -> bool:
    return str(folder / "model.pt") in Path("/proc/self/maps").read_text()


def test_what_stays_is_copied_out_of_the_file(tmp_path: Path) -> None:
    model = mapped_model(tmp_path)
    assert is_mapped(tmp_path)
    weight = model.embedding.weight
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quantize_(model)
    assert not is_mapped(tmp_path)
    assert model.embedding.weight is weight
    assert weight.requires_grad
    for name in ("embedding.weight", "turned", "part"):
        assert torch.equal(model.state_dict()[name], before[name]), name
    assert model.turned.stride() == (1, 16)
    model.turned.fill_(7)
    assert (model.part == 7).all(), "a part no longer lies in its whole"


def test_by_keyword(tmp_path: Path) -> None:
    model = mapped_model(tmp_path)
    quantize_(model=model)
    assert not is_mapped(tmp_path)


def test_more_than_was_freed_stays_in_the_file(tmp_path: Path) -> None:
    model = mapped_model(tmp_path, words=4096)
    at = model.embedding.weight.data_ptr()
    quantize_(model)
    assert is_mapped(tmp_path)
    assert model.embedding.weight.data_ptr() == at


def test_a_model_that_processes_share_stays_shared() -> None:
    model = Model(16).share_memory()
    at = model.embedding.weight.data_ptr()
    quantize_(model)
    assert model.embedding.weight.is_shared()
    assert model.embedding.weight.data_ptr() == at


def test_refused_models_stay_in_the_file(tmp_path: Path) -> None:
    model = mapped_model(tmp_path)
    with torch.no_grad():
        model.linear.weight[3, 4] = torch.nan
    with pytest.raises(ValueError, match="nothing was changed"):
        quantize_(model)
    assert is_mapped(tmp_path)


def test_systems_that_say_nothing_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MAPS", tmp_path / "none")
    model = mapped_model(tmp_path)
    quantize_(model)
    assert is_mapped(tmp_path)
