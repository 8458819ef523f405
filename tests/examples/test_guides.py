"""The examples' own README files: what they tell to type is run, here or elsewhere.

``bash run.sh`` is run by test_readme (quickstart), test_run_scripts and test_scale_out.
"""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from flwr.serverapp.strategy import FedAvg

from flwr_registry.strategy.options import RUN_CONFIG_KEYS

EXAMPLES = Path(__file__).parents[2] / "examples"
GUIDES = sorted(EXAMPLES.glob("*/README.md"))
EXPORT = "export RUN_CONFIG="


def fragments(guide, language):
    text = guide.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def lines_of(guide):
    return [line for each in fragments(guide, "bash") for line in each.splitlines()]


def run_configs(guide):
    found = (shlex.split(each) for each in lines_of(guide) if each.startswith(EXPORT))
    return [words[1].removeprefix("RUN_CONFIG=") for words in found]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.parent.name)
def test_every_line_is_one_that_is_run(guide):
    said = guide.read_text(encoding="utf-8")
    assert set(re.findall(r"^```(\w+)$", said, re.MULTILINE)) <= {"bash", "python"}
    assert "bash run.sh" in said and (guide.parent / "run.sh").is_file()
    for line in lines_of(guide):
        assert line.split("  #")[0].strip() == "bash run.sh" or line.startswith(EXPORT)
    app = tomllib.loads((guide.parent / "pyproject.toml").read_text())
    for config in run_configs(guide):
        known = {*RUN_CONFIG_KEYS, *app["tool"]["flwr"]["app"]["config"]}
        assert {pair.split("=")[0] for pair in shlex.split(config)} <= known


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.parent.name)
def test_every_python_fragment_runs(guide):
    context = Context(1, 2, {}, RecordDict(), {"registry-model": "configured"})
    for fragment in fragments(guide, "python"):
        exec(fragment, {"context": context, "FedAvg": FedAvg})
