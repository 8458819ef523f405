"""Settings without secrets: what is masked, and what stays."""

import base64
import json
import secrets
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from masking.secrets_corpus import HARMLESS, JWT, PEM, PLANTED, PLANTED_BESIDE

from flwr_registry.masking import (
    is_secret_name,
    masked_settings,
    masked_text,
    recorded_settings,
)
from flwr_registry.records import RunProvenance

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
NAMES = st.sampled_from([*PLANTED, *HARMLESS]) | st.text(max_size=20)
PIECES = [value for value, _ in PLANTED.values() if isinstance(value, str)]
TEXTS = (
    st.text(max_size=60)
    | st.lists(
        st.sampled_from([*PIECES, "=", ":", "@", " ", "://", "?", "password", '"']),
        max_size=8,
    ).map("".join)
    | st.text("aA1/+-_=.:@#?&%*$ \"'\\\n", max_size=80)
)
VALUES = st.recursive(
    PLAIN | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.parametrize("name", [*PLANTED, *PLANTED_BESIDE])
def test_a_secret_is_masked_by_its_name_or_its_text(name):
    value, secret = {**PLANTED, **PLANTED_BESIDE}[name]
    assert secret not in json.dumps(masked_settings({name: value}))
    nested = {"outer": [{"inner": {name: value}}]}
    assert secret not in json.dumps(masked_settings(nested))


def test_what_is_harmless_stays_as_it_is():
    assert masked_settings(HARMLESS) == HARMLESS
    setting = {"name": "lr", "value": "cosine"}
    assert masked_settings(setting) == setting


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("postgresql://ann:pw@db:5432/x?a=b", "postgresql://***@db:5432/x?***"),
        ("host=db password=pw dbname=x", "host=db password=*** dbname=x"),
        ("ann:pw@db/x", "***@db/x"),
        ('{"name": "password", "value": "pw"}', '{"name": "password", "value": ***}'),
        ("['password', 'pw', 'x']", "['password', ***, 'x']"),
        ("<password>pw</password><lr>1</lr>", "<password>***</password><lr>1</lr>"),
        ("PWD={p;w};lr=1", "PWD=***;lr=1"),
        ("name: lr, value: 0.1", "name: lr, value: 0.1"),
        ("run --password=pw --lr=0.1", "run --password=*** --lr=0.1"),
        ('--password "p w" --lr 0.1', "--password *** --lr 0.1"),
    ],
)
def test_the_harmless_part_of_a_text_stays(before, after):
    assert masked_text(before) == after


@pytest.mark.parametrize("long", [JWT, PEM, "9f86d081884c7d659a2feaa0c55ad015"])
def test_a_change_of_a_long_secret_shows(long):
    digest, other = (
        masked_text(long),
        masked_text(long.replace("P", "Q").replace("9", "8")),
    )
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 8
    assert digest != other


@pytest.mark.parametrize(
    "guessable",
    ["Xk9#mP2$vL5", base64.b64encode(b"ann:correct horse battery").decode(), "aA1" * 9],
)
def test_what_could_be_found_by_trying_leaves_no_digest(guessable):
    assert masked_text(guessable) == "***"


@pytest.mark.parametrize("make", [secrets.token_hex, secrets.token_urlsafe])
def test_random_texts_are_masked(make):
    for _ in range(200):
        text = make(32)
        assert text not in masked_text(text)


@given(VALUES, NAMES)
def test_masking_keeps_plain_values_and_masks_nothing_twice(value, name):
    once = masked_settings({name: value})
    assert masked_settings(once) == once
    json.dumps(once)
    if isinstance(value, int | float) and not is_secret_name(name, value):
        assert list(once.values()) == [value]


@given(st.text("ab=:,/@?# -\"'\\{}1A\n", max_size=300))
def test_masking_a_text_reaches_an_end(text):
    assert masked_text(masked_text(text)) == masked_text(text)


@pytest.mark.parametrize("piece", ["a-", "a.", "--a", "a:", "//", '="', "([{", "<a "])
def test_long_texts_take_no_long_time(piece):
    start = time.perf_counter()
    text = piece * (50_000 // len(piece))
    masked_text(text)
    is_secret_name(text)
    assert time.perf_counter() - start < 10


class Unprintable:
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "value", [b"\xff\x00", Unprintable(), {1: {2: object()}}, {"a", 1}, "\ud800"]
)
def test_masking_never_raises(value):
    masked_settings({"x": value, value if isinstance(value, str) else "k": value})


def test_a_value_that_holds_itself_ends():
    loop: dict[str, object] = {}
    loop["loop"] = loop
    masked_settings(loop)


def test_a_value_under_many_names_is_not_looked_through_for_each():
    shared: dict[str, object] = {"lr": 0.1}
    for _ in range(20):
        shared = {"left": shared, "right": shared}
    start = time.perf_counter()
    masked = masked_settings(shared)
    recorded_settings(shared, "names")
    took = time.perf_counter() - start
    is_same = masked_settings(masked) == masked
    assert took < 10
    assert is_same
    many = {"layers": list(range(5_000)), "lr": 0.1}
    assert masked_settings(many) == many


def test_what_to_record_is_chosen_and_masked_by_the_record():
    settings = {"password": "planted", "inner": {"ann:planted@host": 1}}
    assert recorded_settings(settings, "masked") == settings
    names = recorded_settings(settings, "names")
    said = RunProvenance("trial", "m", strategy_config=names, run_config=settings)
    assert "planted" not in repr(said)
    assert said.strategy_config == {"password": "***", "inner": {"***@host": "***"}}


def test_how_much_is_recorded():
    settings = {"lr": 0.1, "inner": {"eta": 1}}
    assert recorded_settings(settings, "none") == {}
    names = {"lr": "***", "inner": {"eta": "***"}}
    assert recorded_settings(settings, "names") == names
    assert recorded_settings(settings, "masked") == settings
    with pytest.raises(ValueError, match="'none', 'names' or 'masked'"):
        recorded_settings(settings, "all")


def test_provenance_never_holds_a_secret():
    values = {name: value for name, (value, _) in PLANTED.items()}
    provenance = RunProvenance("trial", "m", strategy_config=values, run_config=values)
    said = repr(provenance)
    assert not [secret for _, secret in PLANTED.values() if secret in said]
