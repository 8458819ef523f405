"""The card of a version, as model hubs show it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flwr_registry.registry.exchange.described_versions import DescribedVersion
from flwr_registry.registry.rows.json_values import finite_or_none

__all__ = ["config_of", "model_card"]

_SHOWN_ANCESTORS = 10
_MARKUP = re.compile(
    r"""[&<>\\|`*\[\]!~$@]        # entities, escapes, cells, code, emphasis, links
    | (?<![A-Za-z0-9])_         # emphasis too, but not within a name
    | _(?![A-Za-z0-9])
    | :(?=//) | (?<=\bwww)\.    # addresses, which some renderers make links of
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLOCK_START = re.compile(r"^(?:[-+=\#]|[0-9](?=[0-9]*[.)]))")
"""A list, a heading or a line below one."""


def config_of(found: DescribedVersion) -> dict[str, Any]:
    """Return the ``config.json`` of a version: what its user said about the model."""
    said = found.version.metadata
    known = {"architectures": [said.architecture] if said.architecture else None}
    config = {**dict(said.model_config), "model_type": said.framework or None, **known}
    return {name: value for name, value in config.items() if value is not None}


def model_card(found: DescribedVersion) -> str:
    """Write the card: front matter, then sections in Markdown.

    The front matter follows Hugging Face's model card specification.
    """
    version = found.version
    parts = [
        *_front_matter(found),
        f"# {version.model} {version.version}",
        "",
        _paragraphs(version.metadata.description)
        or "A model that was trained by federation.",
        "",
        *_section("Model", _model_facts(found)),
        *_section("Training", _training_facts(found)),
        *_metrics(found),
        *_section("Contributors", _contributor_facts(found)),
        *_section("Privacy budget", _privacy_facts(found)),
        *_section("Lineage", _lineage_facts(found)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _front_matter(found: DescribedVersion) -> Iterator[str]:
    version = found.version
    yield "---"
    yield f"library_name: {_text(version.metadata.framework or 'safetensors')}"
    yield f"model_name: {_text(version.model)}"
    yield "tags:"
    yield from (f"- {_text(tag)}" for tag in ("federated-learning", "flower"))
    for key, value in version.metadata.tags.items():
        yield f"- {_text(f'{key}:{value}')}"
    results = [
        (source, name, value)
        for source, measured in version.metrics.items()
        for name, value in measured.items()
        if finite_or_none(value) is not None
    ]
    if results:
        yield "model-index:"
        yield f"- name: {_text(version.model)}"
        yield "  results:"
        yield "  - task: {type: other}"
        yield "    dataset: {name: federation, type: federation}"
        yield "    metrics:"
        for source, name, measure in results:
            described = {"type": name, "value": measure, "name": f"{name} ({source})"}
            # JSON is YAML too, and escapes whatever a node may have sent.
            yield f"    - {json.dumps(described)}"
    yield "---"
    yield ""


def _text(text: str) -> str:
    return json.dumps(text)


def _section(title: str, facts: dict[str, Any]) -> Iterator[str]:
    known = {name: fact for name, fact in facts.items() if fact not in ("", None)}
    if known:
        yield f"## {title}"
        yield ""
        yield from (f"- {name}: {_one_line(fact)}" for name, fact in known.items())
        yield ""


def _model_facts(found: DescribedVersion) -> dict[str, Any]:
    version = found.version
    return {
        "architecture": version.metadata.architecture,
        "framework": version.metadata.framework,
        "status": version.status.value,
        "weights": f"{version.file_size_bytes} bytes, SHA-256 {version.checksum}",
        "registered": f"{version.created_at:%Y-%m-%d %H:%M:%S} UTC by "
        f"{version.metadata.created_by}",
        "failed validation": "; ".join(version.validation_errors),
        "withdrawn": (
            "a node withdrew its part in it: do not use it" if version.withdrawn else ""
        ),
    }


def _training_facts(found: DescribedVersion) -> dict[str, Any]:
    version, run = found.version, found.run
    facts: dict[str, Any] = {"rounds": version.total_rounds or None}
    if run is not None:
        came = run.provenance
        facts |= {
            "run": came.name,
            "strategy": came.strategy,
            "app": f"{came.app_id} {came.app_version}".strip(),
            "federation": came.federation,
            "made with": ", ".join(f"{k} {v}" for k, v in came.versions.items()),
        }
    return facts


def _privacy_facts(found: DescribedVersion) -> dict[str, Any]:
    version = found.version
    if version.epsilon is None:
        return {}
    return {"spent so far": f"epsilon {version.epsilon:g}, delta {version.delta:g}"}


def _metrics(found: DescribedVersion) -> Iterator[str]:
    if not any(found.version.metrics.values()):
        return
    yield "## Metrics"
    yield ""
    yield "| measured by | metric | value |"
    yield "| --- | --- | --- |"
    for source, measured in found.version.metrics.items():
        for name, value in measured.items():
            cells = (source.replace("_", " "), name, value)
            yield f"| {' | '.join(map(_one_line, cells))} |"
    yield ""


def _contributor_facts(found: DescribedVersion) -> dict[str, Any]:
    if not found.contributions:
        return {}
    return {
        "nodes in the last round": f"{found.nodes} of {len(found.contributions)}",
        "examples": f"{found.num_examples:g}" if found.num_examples else None,
    }


def _lineage_facts(found: DescribedVersion) -> dict[str, Any]:
    shown = list(found.ancestors[:_SHOWN_ANCESTORS])
    more = len(found.ancestors) - len(shown)
    line = [found.version.version, *shown, *([f"{more} more"] if more else [])]
    return {"trained from": " \N{LEFTWARDS ARROW} ".join(line)}


def _one_line(fact: Any) -> str:
    """Write a fact as text in one line that no renderer takes for markup.

    Nodes name their metrics, and bundles bring texts of anybody.
    """
    return _MARKUP.sub(_by_number, " ".join(str(fact).split()))


def _paragraphs(text: str) -> str:
    """Write a text of several lines as they stand, none of them markup."""
    lines = (_BLOCK_START.sub(_by_number, _one_line(line)) for line in text.split("\n"))
    return "\n".join(lines).strip()


def _by_number(found: re.Match[str]) -> str:
    # Unlike a backslash it is text to every renderer, also in the cell of a table.
    return f"&#{ord(found[0])};"
