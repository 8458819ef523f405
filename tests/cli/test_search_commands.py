"""The command that searches, on real registries."""

import json
import warnings

import numpy as np
import pytest

from flwr_registry.cli import terminal
from flwr_registry.records import RoundFacts, RunProvenance, VersionMetadata
from flwr_registry.registry import ModelRegistry

with warnings.catch_warnings():
    # typer 0.20 imports names that click 8.5 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from typer.testing import CliRunner

    from flwr_registry.cli import app


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("registry") / "registry.db"
    with ModelRegistry(place) as registry:
        for number in range(4):
            registry.register(
                {"layer": np.full(4, number, np.float32)},
                model="letters" if number == 2 else "digits",
                metrics={"accuracy": number / 4},
                metadata=VersionMetadata(tags={"site": "x" if number else "y"}),
            )
    return place


@pytest.fixture
def search(place):
    def invoke(*arguments):
        arguments = ["search", *arguments, "--registry", str(place)]
        return CliRunner().invoke(app, arguments)

    return invoke


def versions_of(done):
    assert done.exit_code == 0, done.stderr
    content = json.loads(done.stdout)
    return [f"{each['model']}:{each['version']}" for each in content["versions"]]


def test_found_versions_keep_their_order(search):
    done = search("tags.site = 'x'", "--order-by", "metrics.accuracy desc")
    assert (done.exit_code, done.stderr) == (0, "")
    shown = [line.split()[0] for line in done.stdout.splitlines()]
    assert [word for word in shown if word != "version"] == [
        *("digits", "1.2.0"),
        *("letters", "1.0.0"),
        *("digits", "1.1.0"),
        "3",
    ]


def test_an_empty_expression_finds_all_newest_first(search):
    expected = ["digits:1.2.0", "letters:1.0.0", "digits:1.1.0", "digits:1.0.0"]
    assert versions_of(search("--format", "json")) == expected
    assert versions_of(search("--model", "letters", "--format", "json")) == [
        "letters:1.0.0"
    ]


def test_pages_go_on_where_the_one_before_ended(search):
    first = search("--limit", "3", "--format", "json")
    token = json.loads(first.stdout)["next_page_token"]
    rest = search("--limit", "3", "--page-token", token, "--format", "json")
    assert versions_of(rest) == ["digits:1.0.0"]
    assert json.loads(rest.stdout)["next_page_token"] is None
    shown = search("--limit", "3")
    assert f"--page-token {token}" in shown.stderr


def test_an_error_shows_the_place_on_stderr(search):
    done = search("metrics.acuracy > 0.9", "--format", "json")
    assert (done.exit_code, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert "did you mean accuracy?" in lines[0]
    assert lines[1:] == [
        "  metrics.acuracy > 0.9",
        "  ^^^^^^^^^^^^^^^ (position 1)",
    ]
    assert search("--limit", "0").exit_code == 1


@pytest.mark.parametrize("width", [60, 80, 100])
def test_what_one_copies_is_whole_in_a_narrow_terminal(monkeypatch, tmp_path, width):
    monkeypatch.setattr(terminal, "_PIPE_WIDTH", width)
    with ModelRegistry(tmp_path / "registry.db") as registry:
        run = registry.start_run(RunProvenance("trial", "digits"))
        for number in range(3):
            registry.register(
                {"layer": np.full(5000, number, np.float32)},
                model="digits",
                version=f"112.110.{number}",
                run=run,
                facts=RoundFacts(number + 1, {"loss": 0.1234, "accuracy": 0.9876}),
            )
        last = registry.promote("digits:112.110.2")
    for words in (
        ["list", "digits"],
        ["search", "round > 0"],
        ["run", "show", "trial"],
    ):
        place = str(tmp_path / "registry.db")
        shown = CliRunner().invoke(app, [*words, "--registry", place]).stdout
        for whole in (last.version, last.checksum[:12], "0.9876", "production"):
            assert whole in shown, shown
        assert "…" not in shown
