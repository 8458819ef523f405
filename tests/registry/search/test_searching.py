"""Searches on both databases, compared with plain Python."""

import asyncio
import base64
import json
import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry.samples import facts_of, weights_of

from flwr_registry.errors import ModelNotFoundError, SearchError
from flwr_registry.records import MetricSource, RunProvenance, VersionMetadata
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry

INF, NAN = float("inf"), float("nan")
SITES = ("x", "it's", "100%", "a_b", "A*b", "[a]", "back\\slash", "Ünï", "")
EVERY_NODE = ("node-1", "node-2", "18446744073709551615")


@pytest.fixture
def versions(registry, start, add):
    """Versions of two models that differ in whatever can be searched."""
    run, other = start("first"), start("second")
    for number in range(1, 13):
        measured = {"accuracy": (number * 7 % 12) / 10, "loss": float(number // 4)}
        metrics = {"evaluate_serverapp": measured} if number % 3 else None
        if number % 4 == 0:
            metrics = {"evaluate_clientapp": {"accuracy": 0.5, "loss": float("nan")}}
        site = {"site": SITES[number % len(SITES)]} if number % 5 else {}
        trained = {"loss": 9.0} if number > 8 else {}
        made_by = {}
        if number > 2:
            nodes = EVERY_NODE[: number % 4]
            made_by["run"] = run if number % 2 else other
            made_by["facts"] = facts_of(number, *nodes, **trained)
        add(
            number,
            **made_by,
            errors=["bad"] if number % 6 == 0 else (),
            metrics=metrics,
            privacy=(number / 2, 1e-5) if number % 2 else None,
            metadata=VersionMetadata(description=SITES[-number % 9], tags=site),
        )
    registry.register(weights_of(1, 99), model="letters", metrics={"f1": 0.25})
    return registry.list()


def best(version, name):
    for source in ("evaluate_serverapp", "evaluate_clientapp", "train_clientapp"):
        if name in version.metrics.get(source, {}):
            value = version.metrics[source][name]
            return value if value == value else None
    return None


def number_of(version):
    return tuple(map(int, version.version.split(".")))


COMPARE = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
NUMBERS = {
    "round": lambda v: v.server_round,
    "size": lambda v: v.file_size_bytes,
    "epsilon": lambda v: v.epsilon,
    "num_clients": lambda v: v.num_clients,
    "metrics.accuracy": lambda v: best(v, "accuracy"),
    "metrics.loss": lambda v: best(v, "loss"),
    "train_clientapp.loss": lambda v: v.metrics.get("train_clientapp", {}).get("loss"),
}
TEXTS = {
    "model": lambda v: v.model,
    "status": lambda v: v.status.value,
    "run": lambda v: v.run_name,
    "parent": lambda v: v.parent_version,
    "description": lambda v: v.metadata.description,
    "tags.site": lambda v: v.metadata.tags.get("site"),
}
TRUTHS = {
    "production": lambda v: v.is_production,
    "pinned": lambda v: v.pinned,
    "withdrawn": lambda v: v.withdrawn,
}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def compared(read, operator, value):
    def holds(version):
        found = read(version)
        return found is not None and COMPARE[operator](found, value)

    return holds


@st.composite
def number_comparisons(draw):
    name, operator = (
        draw(st.sampled_from(list(NUMBERS))),
        draw(st.sampled_from(list(COMPARE))),
    )
    value = draw(st.sampled_from([0, 0.5, 0.7, 1, 2.5, 3, 9, 132, -1e300, 1e18]))
    return f"{name} {operator} {value}", compared(NUMBERS[name], operator, value)


@st.composite
def text_comparisons(draw):
    name = draw(st.sampled_from(list(TEXTS)))
    known = [*SITES, "digits", "letters", "first", "1.1.0", "nobody"]
    if name == "status":
        known = ["candidate", "failed", "active"]
    value = draw(st.sampled_from(known))
    if draw(st.booleans()):
        values = (value, draw(st.sampled_from(known)))
        listed = ", ".join(map(quoted, values))
        return f"{name} in ({listed})", lambda v: TEXTS[name](v) in values
    operator = draw(st.sampled_from(["=", "!="]))
    return f"{name} {operator} {quoted(value)}", compared(TEXTS[name], operator, value)


@st.composite
def pattern_comparisons(draw):
    name = draw(st.sampled_from(["description", "tags.site", "run", "model"]))
    pieces = st.sampled_from(
        ["%", "_", "a", "A", "b", "*", "?", "[a]", "]", "\\%", "\\_", "\\\\", "i", "ü"]
    )
    parts = draw(st.lists(pieces, max_size=5))
    regex = "".join(
        {"%": ".*", "_": "."}.get(part) or re.escape(part.lstrip("\\") or "\\")
        for part in parts
    )
    flags = draw(st.sampled_from([0, re.IGNORECASE | re.ASCII]))

    def holds(version):
        text = TEXTS[name](version)
        return text is not None and bool(
            re.fullmatch(
                _ascii_lower(regex) if flags else regex,
                _ascii_lower(text) if flags else text,
                re.DOTALL,
            )
        )

    word = "ilike" if flags else "like"
    return f"{name} {word} {quoted(''.join(parts))}", holds


def _ascii_lower(text):
    return "".join(each.lower() if each.isascii() else each for each in text)


@st.composite
def other_comparisons(draw):
    kind = draw(st.sampled_from(["truth", "version", "node"]))
    if kind == "truth":
        name = draw(st.sampled_from(list(TRUTHS)))
        return name, TRUTHS[name]
    if kind == "version":
        operator = draw(st.sampled_from(list(COMPARE)))
        value = draw(st.sampled_from([(1, 0, 0), (1, 9, 0), (1, 10, 0), (0, 99, 99)]))
        text = ".".join(map(str, value))
        return f"version {operator} {text}", compared(number_of, operator, value)
    node = draw(st.sampled_from([*EVERY_NODE, "nobody"]))
    # The fixture gives the first nodes, as many as the round leaves by 4.
    return (
        f"node = {quoted(node)}",
        lambda v: node in EVERY_NODE[: (v.server_round or 0) % 4],
    )


def _joined(children):
    pair = st.tuples(children, children)
    return st.one_of(
        children.map(lambda c: (f"not ({c[0]})", lambda v: not c[1](v))),
        pair.map(
            lambda p: (
                f"({p[0][0]}) and ({p[1][0]})",
                lambda v: p[0][1](v) and p[1][1](v),
            )
        ),
        pair.map(
            lambda p: (
                f"({p[0][0]}) or ({p[1][0]})",
                lambda v: p[0][1](v) or p[1][1](v),
            )
        ),
    )


EXPRESSIONS = st.recursive(
    st.one_of(
        number_comparisons(),
        text_comparisons(),
        pattern_comparisons(),
        other_comparisons(),
    ),
    _joined,
    max_leaves=6,
)


@pytest.mark.slow
def test_a_search_finds_what_plain_python_finds(registry, versions):
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(EXPRESSIONS, st.sampled_from(["id", *NUMBERS]))
    def check(expression, order):
        text, holds = expression
        expected = list(filter(holds, versions))
        assert list(registry.search(text).versions) == expected, text
        ordered = registry.search(text, order_by=order).versions
        assert {v.version for v in ordered} == {v.version for v in expected}, text

    check()


@pytest.mark.slow
def test_pages_follow_the_order_and_meet_every_version_once(registry, versions):
    # In one test, since making the versions takes longer than all the pages.
    for name in ("created", "id", "version", *NUMBERS):
        for direction in ("", " asc", " desc"):
            check_pages(registry, versions, name, direction)


def check_pages(registry, versions, name, direction):
    down = direction == " desc"
    read = {"created": lambda v: v.id, "id": lambda v: v.id, "version": number_of}
    read |= NUMBERS
    has = [v for v in versions if read[name](v) is not None]
    has.sort(key=lambda v: (read[name](v), v.id), reverse=down)
    lacks = [v for v in versions if read[name](v) is None]
    lacks.sort(key=lambda v: v.id, reverse=down)
    found, token = [], None
    while True:
        page = registry.search(order_by=name + direction, page_size=2, page_token=token)
        found += page.versions
        token = page.next_page_token
        if token is None:
            break
        assert len(page.versions) == 2
    assert found == has + lacks


def test_times_and_models(registry, versions):
    assert registry.search("created > 1h").versions == tuple(versions)
    assert registry.search("created < 1h").versions == ()
    later = versions[0].created_at + timedelta(seconds=1)
    assert registry.search(f"created <= '{later.isoformat()}'").versions
    moment = versions[3].created_at.isoformat()
    assert versions[3] in registry.search(f"created = '{moment}'").versions
    assert [v.model for v in registry.search(model="letters").versions] == ["letters"]
    with pytest.raises(ModelNotFoundError, match="did you mean letters"):
        registry.search(model="leters")


def test_an_unknown_metric_or_tag_lists_the_known_ones(registry, versions):
    with pytest.raises(SearchError, match="did you mean accuracy") as caught:
        registry.search("pinned or metrics.acuracy > 1")
    assert caught.value.position == 10
    assert "f1" in str(caught.value)
    with pytest.raises(SearchError, match="no version of digits has a finite metric"):
        registry.search("metrics.f1 > 0", model="digits")
    with pytest.raises(SearchError, match=r"from train_clientapp; .*known: loss"):
        registry.search("train_clientapp.accuracy > 0")
    with pytest.raises(SearchError, match=r"tag 'sight'.*known: site"):
        registry.search("tags.sight = x")
    with pytest.raises(SearchError, match="tag 'site'; there is none"):
        registry.search("tags.site = x", model="letters")
    with pytest.raises(SearchError, match="finite metric 'nothing'"):
        registry.search(order_by="metrics.nothing desc")


@pytest.mark.parametrize(
    "order_by",
    ["", "status", "tags.site", "size up", "created up", "size desc asc", "node", "'"],
)
def test_an_order_that_makes_no_sense_is_refused(registry, order_by):
    with pytest.raises(SearchError):
        registry.search(order_by=order_by)


@pytest.mark.parametrize("page_size", [0, -1, 10_001])
def test_pages_have_a_size(registry, page_size):
    with pytest.raises(SearchError, match="1 to 10000"):
        registry.search(page_size=page_size)


def test_a_token_of_another_search_is_refused(registry, versions):
    token = registry.search("size > 0", page_size=1).next_page_token
    for other in (
        {"expression": "size > 1"},
        {"expression": "size > 0", "model": "digits"},
        {"expression": "size > 0", "order_by": "size"},
    ):
        with pytest.raises(SearchError, match="belongs to another search"):
            registry.search(**other, page_token=token)
    assert registry.search("size > 0", page_size=1, page_token=token).versions


@pytest.mark.slow
def test_a_damaged_token_is_refused(registry, versions):
    for order_by in ("created", "version", "metrics.loss"):
        check_damaged_tokens(registry, order_by)


def check_damaged_tokens(registry, order_by):
    def page(token=None):
        return registry.search(order_by=order_by, page_size=1, page_token=token)

    token = page().next_page_token
    digest, key, last = json.loads(base64.b64decode(token))
    assert page(encoded([digest, key, last])).versions
    changed = [
        *([digest, key, id] for id in ("1", True, 2**70, -1, None, 1.5)),
        *([digest, [part], last] for part in ("1", True, NAN, -INF, 10**400, [])),
        *([digest, [None] * count, last] for count in (2, 3)),
        [digest, [1, 2], last],
        [digest, last],
        {},
        None,
    ]
    texts = (token[:-3], "", "\u00e9", "[" * 99_999)
    for damaged in (*map(encoded, changed), *texts):
        with pytest.raises(SearchError, match="no page token"):
            page(damaged)


def encoded(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


HOSTILE = [
    "'; DROP TABLE model_versions; --",
    '" OR "1"="1',
    "') OR 1=1 --",
    "%' OR '1'='1",
    "\x00",
    "\ud800",
    "$.x",
    '"]$',
    ":name",
    "%(x)s",
    # Alone it is what an unpaired surrogate is stored as.
    "a ? b",
    "\\",
    "%s" * 50,
    "🌻" * 100,
]


@pytest.mark.slow
def test_hostile_texts_are_texts(registry, add):
    hits = {}
    for number, text in enumerate(HOSTILE):
        said = VersionMetadata(description=text, tags={text: text, "plain": "x"})
        hits[text] = add(number, metadata=said, metrics={text: 1.0})
    add(len(HOSTILE), metrics={"other": 1.0})
    for text, hit in hits.items():
        double = '"' + text.replace('"', '""') + '"'
        for expression in (
            f"description = {quoted(text)}",
            f"description in ({quoted(text)})",
            f"tags.{double} = {quoted(text)}",
            f"metrics.{double} = 1",
            f"metrics.{double} = 1 and tags.plain like 'x'",
        ):
            assert registry.search(expression).versions == (hit,), ascii(expression)
        ordered = registry.search(order_by=f"metrics.{double} desc", page_size=1)
        assert ordered.versions == (hit,)
        registry.search(f"description like {quoted(text)} or run ilike {quoted(text)}")
        assert registry.search(f"model = {quoted(text)}").versions == ()


def test_nodes_are_found_under_their_pseudonyms(database_url, tmp_path):
    with ModelRegistry(database_url, tmp_path, node_key="secret") as opened:
        run = opened.start_run(RunProvenance("experiment", "digits"))
        made = opened.register(
            weights_of(1), model="digits", run=run, facts=facts_of(1, "7", "8")
        )
        assert opened.search("node = 7").versions == (made,)
        assert opened.search("node in ('6', '8')").versions == (made,)
        assert opened.search("node = 6").versions == ()


def test_later_metrics_are_found(registry, start, add):
    run = start()
    made = add(1, run=run, facts=facts_of(1))
    registry.record_metrics(
        run, 1, MetricSource.EVALUATE_CLIENTAPP, {"auc": 0.75}, measured=made
    )
    (found,) = registry.search("metrics.auc = 0.75").versions
    assert found.version == made.version


@pytest.mark.slow
def test_the_awaited_search_finds_the_same(database_url, tmp_path, registry, versions):
    text = (
        "(tags.site ilike '%a%' or size in (1.5, 132) or round < 7 and epsilon > 0.5 "
        "or node = 'node-1' or version > 1.2.0) and created > 1h and not production"
    )

    async def work():
        async with AsyncModelRegistry(database_url, tmp_path / "weights") as opened:
            token, found = None, []
            while True:
                page = await opened.search(
                    text, order_by="epsilon", page_size=3, page_token=token
                )
                found += page.versions
                token = page.next_page_token
                if token is None:
                    return tuple(found)

    found = registry.search(text, order_by="epsilon").versions
    assert len(found) > 4
    assert asyncio.run(work()) == found
