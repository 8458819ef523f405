"""What the command line says: its own flags and verbs alone, and what was meant."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import flwr_registry
from flwr_registry.cli import app
from flwr_registry.cli.messages import in_flags

COMMANDS = r"flwr-registry((?: [a-z][a-z-]*)+)"
FLAG = r"(?<![\w-])--[a-z][a-z-]*"
# Flower's and pip's own.
OTHERS = {"--run-config", "--run-config-override"}


def commands_of(group, before=()):
    """List all commands by their words."""
    found = {before: group}
    for name, command in getattr(group, "commands", {}).items():
        found |= commands_of(command, (*before, name))
    return found


KNOWN = commands_of(get_command(app))


def flags_of(words):
    return {
        flag
        for parameter in KNOWN[words].params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


ALL_FLAGS = {flag for words in KNOWN for flag in flags_of(words)}


@cache
def texts_of_the_package():
    """List every text in the code with its place; what is filled in is an X."""
    return list(find_texts())


def find_texts():
    for path in sorted(Path(flwr_registry.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts.update(map(id, node.values))
                pieces = (
                    part.value if isinstance(part, ast.Constant) else "X"
                    for part in node.values
                )
                yield path, "".join(map(str, pieces))
            elif isinstance(node, ast.Constant) and id(node) not in parts:
                yield path, str(node.value)


def faults_of(text):
    """Give what a text names and no command has."""
    for found in re.finditer(COMMANDS, text):
        words = tuple(found[1].split())
        command = next(
            (words[:n] for n in range(len(words), 0, -1) if words[:n] in KNOWN), None
        )
        if command is None:
            yield found[0]
            continue
        if getattr(KNOWN[command], "commands", None) and len(words) > len(command):
            yield found[0]
        rest = re.split(r"['\"`;,)]", text[found.end() :])[0]
        for flag in re.findall(FLAG, rest):
            if flag not in flags_of(command):
                yield f"{found[0]} {flag}"
    yield from (
        flag for flag in re.findall(FLAG, text) if flag not in ALL_FLAGS | OTHERS
    )


def test_no_text_names_a_verb_or_flag_that_does_not_exist():
    texts = texts_of_the_package()
    assert sum("flwr-registry " in text for _, text in texts) > 20
    faults = {(path.name, fault) for path, text in texts for fault in faults_of(text)}
    assert faults == set()


def test_no_help_text_names_one_either():
    for words, command in KNOWN.items():
        said = [
            command.help or "",
            *(getattr(p, "help", "") or "" for p in command.params),
        ]
        assert not [fault for text in said for fault in faults_of(text)], words


CHECKOUT = Path(flwr_registry.__file__).parents[1]
GUIDES = [
    path
    for path in CHECKOUT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(CHECKOUT).parts)
]


def test_no_text_with_a_flag_speaks_python_on_the_command_line():
    """What only a strategy says is read by whoever writes Python."""
    package = Path(flwr_registry.__file__).parent
    told = {
        in_flags(text)
        for path, text in texts_of_the_package()
        if path.relative_to(package).parts[0] not in {"cli", "strategy"}
        and re.search(FLAG, text)
    }
    assert len(told) > 20
    assert [text for text in told if re.search(r"\w+=", text)] == []


def test_no_guide_names_one_either():
    assert GUIDES
    faults = {
        (path.name, fault)
        for path in GUIDES
        for text in re.findall(r"`[^`\n]+`|^\$ .*$", path.read_text(), re.MULTILINE)
        if "flwr-registry " in text
        for fault in faults_of(text.split(" #")[0])
    }
    assert faults == set()


def test_a_text_that_names_what_does_not_exist_would_be_found():
    assert list(faults_of("run 'flwr-registry docter' first"))
    assert list(faults_of("flwr-registry doctor --rebuilt"))
    assert list(faults_of("flwr-registry run relase X"))
    assert list(faults_of("say --skip-gate"))
    assert not list(faults_of("'flwr-registry run release X', --skip-gates"))


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("say skip_gates=True (--skip-gates): it", "say --skip-gates: it"),
        (
            "give model=Net (--factory package.module:Net), or",
            "give --factory package.module:Net, or",
        ),
        (
            "pass metric_ranges={'a': (None, None)}, in a run to X, or --any-value a",
            "say --any-value a",
        ),
        ("give a token (--token, or X)", "give a token (--token, or X)"),
        ("seals those (--replace: others)", "seals those (--replace: others)"),
        ("other (things) stay=1 (as they are)", "other (things) stay=1 (as they are)"),
    ],
)
def test_the_flag_stands_in_place_of_the_argument(library, told):
    assert in_flags(library) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lst"], "there is no command 'lst'; did you mean list"),
        (["zzz"], "there is no command 'zzz'; known: "),
        (["run", "relase", "x"], "'relase'; did you mean release"),
        (["--verison"], "there is no option '--verison'; did you mean --version"),
        (["--registry", "x", "list"], "write it after the command"),
        (["audit", "--format", "json", "list"], "write it after the command"),
        (["list", "--formt", "json"], "did you mean --format"),
        (["list", "--model", "digits"], "'--model': give [MODEL] without an option"),
    ],
)
def test_what_is_unknown_gets_one_suggestion(run_command, words, told):
    output = re.sub(r"[\s│]+", " ", run_command(*words, code=2).stderr)
    assert told in output
    assert output.lower().count("did you mean") == told.count("did you mean")
    assert "--test" not in output


def test_models_versions_and_runs_are_suggested_alike(run_command, tmp_path):
    with flwr_registry.ModelRegistry(tmp_path / "registry.db") as registry:
        registry.register({"w": [1.0]}, model="digits")
    for words, told in (
        (["show", "digts"], "no model 'digts'; did you mean digits? known models"),
        (["show", "digits:1.0.1"], "did you mean 1.0.0? the newest are 1.0.0"),
        (
            ["search", "accuracy > 0.9"],
            "did you mean metrics.accuracy or tags.accuracy",
        ),
        (["search", "--order-by", "accuracy"], "did you mean metrics.accuracy"),
    ):
        assert told in run_command(*words, code=1).stderr
