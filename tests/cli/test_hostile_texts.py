"""Texts from outside on a terminal: shown, never obeyed, never a line of their own."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from rich.align import Align

import flwr_registry.cli
from flwr_registry.cli.terminal import print_rich
from flwr_registry.records import (
    Contribution,
    ContributionStatus,
    DriftFinding,
    DriftKind,
    DriftSeverity,
    RoundFacts,
    RunProvenance,
    VersionMetadata,
)
from flwr_registry.registry import ModelRegistry

FORGED = "digits 9.9.9 production"
SIGNS = "\x1b[2J\x07\x7f\x9b\r\t\x0b\u202e\u2066\u200b\u2028\ud800"
HOSTILE = f"a{SIGNS}\n{FORGED}\nb"

COMMANDS = [
    ("list",),
    ("list", "digits"),
    ("show", "digits:1.0.0"),
    ("show", "digits:1.1.0"),
    ("lineage", "digits"),
    ("diff", "digits:1.0.0", "digits:1.1.0"),
    ("contributors", "digits"),
    ("affected", HOSTILE),
    ("affected", f"{HOSTILE}?"),
    ("withdrawals",),
    ("history", "digits"),
    ("search", "num_clients > 0"),
    ("search", f"description = '{HOSTILE}' and"),
    ("drift", "digits"),
    ("audit", "list"),
    ("audit", "verify"),
    ("doctor",),
    ("gc", "--keep-latest", "1", "--dry-run"),
    ("verify", "--all"),
    ("show", HOSTILE),
    ("show", f"digits@{HOSTILE}"),
    ("alias", "list", "digits"),
    ("runs",),
    ("run", "show", "trial"),
    ("run", "show", HOSTILE),
    ("where",),
    ("withdraw", HOSTILE, "--dry-run"),
    (HOSTILE,),
]


@pytest.fixture(scope="module")
def hostile_registry(tmp_path_factory):
    """A registry in which all that others may choose is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    with ModelRegistry(folder / "registry.db") as opened:
        fields = dict.fromkeys(
            ("app_id", "app_version", "federation", "strategy", "flwr_run_id"), HOSTILE
        )
        settings = {HOSTILE: HOSTILE}
        provenance = RunProvenance("trial", "digits", **fields, run_config=settings)
        run = opened.start_run(provenance)
        for server_round, name in enumerate((HOSTILE, f"{HOSTILE}2"), start=1):
            nodes = (
                Contribution(HOSTILE, num_examples=3.0, metrics={name: 0.5}),
                Contribution(
                    f"{HOSTILE}3", status=ContributionStatus.ERROR, error_reason=HOSTILE
                ),
            )
            said = VersionMetadata(
                architecture=HOSTILE,
                framework=HOSTILE,
                description=name,
                created_by=HOSTILE,
                tags={"site": HOSTILE},
                model_config={name: HOSTILE},
            )
            opened.register(
                {"x": np.full(4, server_round, np.float32)},
                model="digits",
                run=run,
                facts=RoundFacts(server_round, {name: 0.1}, nodes),
                errors=[HOSTILE, HOSTILE] if server_round == 2 else (),
                metadata=said,
            )
        opened.promote("digits:1.0.0", actor=HOSTILE)
        finding = DriftFinding(
            kind=DriftKind.PERFORMANCE,
            subject=HOSTILE,
            since=HOSTILE,
            found="2",
            statistic=1.0,
            threshold=0.5,
            severity=DriftSeverity.WARNING,
            message=HOSTILE,
        )
        opened.record_drift("digits", [finding], run=run)
        opened.withdraw(f"{HOSTILE}3", reason=HOSTILE, actor=HOSTILE)
    return folder


@pytest.fixture
def tmp_path(hostile_registry):
    """The commands run there."""
    return hostile_registry


def is_safe(printed: str) -> bool:
    lines = printed.split("\n")
    return all(line.isprintable() for line in lines) and not any(
        line.startswith(FORGED) for line in lines
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words)[:20])
def test_a_hostile_text_is_shown_and_not_obeyed(run_command, command):
    result = run_command(*command, code=None)
    assert result.exit_code in {0, 1, 2}, result.output
    assert is_safe(result.stdout)
    assert is_safe(result.stderr)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words)[:20])
def test_json_stays_json(run_command, command):
    result = run_command(*command, "--format", "json", code=None)
    if result.exit_code == 0 or result.stdout:
        json.loads(result.stdout)
    assert is_safe(result.stdout)


def test_other_forms_are_safe_too(run_command):
    exported = run_command("audit", "export").stdout
    assert [json.loads(line)["action"] for line in exported.splitlines()]
    assert is_safe(exported)
    assert is_safe(run_command("lineage", "digits", "--dot").stdout)


def test_what_is_shown_can_be_read(run_command):
    assert r"\x1b[2J" in run_command("show", "digits:1.1.0").stdout


def test_commands_print_in_one_way():
    """Whoever prints past the one place would print texts as they are."""
    folder = Path(flwr_registry.cli.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and path.name != "terminal.py":
                name = ast.unparse(node.func)
                assert name not in {"print", "typer.echo", "typer.secho"}, path
                assert not name.endswith((".console.print", "console().print")), path


def test_nothing_is_printed_whose_texts_are_not_looked_at():
    with pytest.raises(TypeError, match="Align"):
        print_rich(Align("\x1b[2J"))
