"""A plan that is saved, edited, and carried out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_saved_plan_gives_the_same_tensors(bnq: Run, model: Path) -> None:
    bnq("quantize", model, "a", "--rule", "*.down.*=4", "--embeddings", "8", "--plan-out", "plan.json")
    bnq("quantize", model, "b", "--plan", "plan.json")
    shown = [bnq("inspect", name).stdout.splitlines()[1:] for name in ("a", "b")]
    assert shown[0] == shown[1]
    bnq("verify", model, "b")


def test_a_plan_can_be_made_dry_and_edited(bnq: Run, bnq_json: Run, model: Path) -> None:
    bnq("quantize", model, "--dry-run", "--plan-out", "plan.json")
    plan = json.loads(Path("plan.json").read_text())
    for tensor in plan["tensors"]:
        if tensor["name"] == "layer.0.up.weight":
            tensor["scheme"] = "ternary"
    Path("plan.json").write_text(json.dumps(plan))
    done = {t["name"]: t for t in bnq_json("quantize", model, "out", "--plan", "plan.json")["tensors"]}
    assert done["layer.0.up.weight"]["scheme"] == "ternary-absmean:tensor"
    assert done["layer.1.up.weight"]["scheme"] == "int8-absmax:row"
    assert done["norm.weight"]["reason"] == "kept: plan"


def changed(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        plan = json.loads(text)
        change(plan["tensors"])
        return json.dumps(plan)

    return apply


BROKEN = {
    "not JSON": (lambda _: "{", "is not JSON"),
    "a list": (lambda _: "[]", "is no plan"),
    "another document": (lambda _: '{"schema": "bnq.inspection/1"}', "is no plan"),
    "no tensors": (lambda _: '{"schema": "bnq.plan/1"}', "is no plan"),
    "schema a number": (lambda _: '{"schema": 1, "tensors": []}', "is no plan"),
    "nested deep": (lambda _: '{"a":' * 5000 + "1" + "}" * 5000, "nested too deep"),
    "a tensor twice": (changed(lambda t: t.append(t[0])), "stands twice"),
    "a tensor less": (changed(lambda t: t.pop()), "is not in the plan"),
    "a tensor more": (changed(lambda t: t.append({**t[0], "name": "ghost"})), "and not in the input"),
    "another shape": (changed(lambda t: t[0].update(shape=[1])), "is another one in the plan"),
    "a shape that is rounded": (changed(lambda t: t[0].update(shape=[t[0]["shape"][0] + 0.9])), "is no integer"),
    "another dtype": (changed(lambda t: t[0].update(dtype="u64")), "is another one in the plan"),
    "no such scheme": (changed(lambda t: t[0].update(scheme="nine")), "'nine'"),
    "a scheme for integers": (
        changed(lambda t: next(x for x in t if x["dtype"] == "i64").update(scheme="8")),
        "not f32",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_plans_that_are_refused(bnq: Run, model: Path, name: str) -> None:
    change, why = BROKEN[name]
    bnq("quantize", model, "--dry-run", "--plan-out", "plan.json")
    Path("plan.json").write_text(change(Path("plan.json").read_text()))
    done = bnq("quantize", model, "out", "--plan", "plan.json", code=4)
    assert why in done.stderr
    assert not Path("out").exists()


def test_a_plan_is_the_only_choice(bnq: Run, model: Path) -> None:
    bnq("quantize", model, "--dry-run", "--plan-out", "plan.json")
    for option in (["--scheme", "4"], ["--rule", "*=4"], ["--keep", "*"], ["--embeddings", "8"], ["--head", "8"]):
        bnq("quantize", model, "out", "--plan", "plan.json", *option, code=2)
    bnq("quantize", model, "--dry-run", "--plan-out", "plan.json", code=5)
    bnq("quantize", model, "out", "--plan", "none.json", code=1)
