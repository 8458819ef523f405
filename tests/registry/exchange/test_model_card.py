"""Whatever clients and users say is text in the card, to every renderer."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flwr_registry.records import (
    ModelVersion,
    Run,
    RunProvenance,
    VersionMetadata,
    VersionStatus,
)
from flwr_registry.registry.exchange.described_versions import DescribedVersion
from flwr_registry.registry.exchange.model_card import model_card

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
RENDERERS = [MarkdownIt("commonmark"), MarkdownIt("commonmark").enable("table")]
HOSTILE = [
    r"\<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "![x](https://example.org/pixel.png)",
    "[x](javascript:alert(1))",
    "<https://example.org>",
    "a|b\n| --- |\n<b>",
    "```\n<b>\n```",
    "    indented\n\n# heading\n1. list\n- list\n=====",
    "*a* __b__ ~~c~~ `d` &lt;b&gt; &#60;b&#62;",
    "\u2028<b>\x0b<b>\r<b>",
]
texts = st.sampled_from(HOSTILE) | st.text(
    st.sampled_from("\\\\<>&|`*_[]()!#-=1. \nab:/")
)


def described(said):
    version = ModelVersion(
        id=1,
        model="digits",
        version="1.0.0",
        status=VersionStatus.FAILED,
        is_production=False,
        storage_path="",
        checksum="0" * 64,
        file_size_bytes=8,
        fingerprint="",
        metadata=VersionMetadata(
            architecture=said,
            framework=said,
            description=said,
            created_by=said,
            tags={said: said},
        ),
        metrics={"train_clientapp": {said: 1.0, "text": said}},
        validation_errors=(said,),
        parent_id=None,
        parent_version=None,
        val_loss=None,
        val_accuracy=None,
        promoted_at=None,
        archived_at=None,
        run_id=1,
        run_name="trial",
        server_round=1,
        num_clients=1,
        total_rounds=1,
        epsilon=None,
        delta=None,
        created_at=NOW,
    )
    came = RunProvenance(
        "trial",
        "digits",
        app_id=said,
        federation=said,
        strategy=said,
        versions={said: said},
    )
    return DescribedVersion(version, Run(1, came, NOW), (), ())


def shown(said):
    """Give what the card shows below its front matter, as each renderer makes it."""
    card = model_card(described(said)).split("\n---\n", 1)[1]
    return [renderer.render(card) for renderer in RENDERERS]


@given(texts)
def test_no_text_becomes_markup(said):
    for html in shown(said):
        assert set(re.findall(r"<([a-z0-9]+)", html)) <= OURS


@pytest.mark.parametrize("said", HOSTILE)
def test_the_text_is_shown_as_it_stands(said):
    words = " ".join(said.split())
    table = shown(said)[-1]
    assert f"<li>architecture: {words}</li>" in unescape(table)
    assert f"<td>{words}</td>" in unescape(table)
