"""The texts that name a version."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.errors import InvalidReferenceError
from flwr_registry.registry.versions.references import (
    Reference,
    describe_missing_model,
    describe_missing_version,
    parse_reference,
)
from flwr_registry.registry.versions.version_manager import SemVer

name_texts = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
names = name_texts.filter(lambda name: ".." not in name)
numbers = st.builds(SemVer, *[st.integers(0, 10_000)] * 3)
aliases = names.filter(lambda name: not re.fullmatch(r"\d+\.\d+\.\d+", name))


@given(names, numbers)
def test_every_form_of_a_number(name, number):
    expected = Reference(name, version=number)
    for form in (f"{name}:{number}", f"{name}/{number}", f"models:/{name}/{number}"):
        assert parse_reference(form) == expected
    assert parse_reference(str(expected)) == expected
    assert parse_reference(str(number), model=name) == expected


@given(names, aliases)
def test_every_form_of_an_alias(name, alias):
    expected = Reference(name, alias=alias)
    for form in (f"{name}@{alias}", f"models:/{name}@{alias}"):
        assert parse_reference(form) == expected
    assert parse_reference(str(expected)) == expected
    assert parse_reference(f"@{alias}", model=name) == expected


@given(names)
def test_every_form_of_latest(name):
    expected = Reference(name, alias="latest")
    forms = (name, f"{name}:latest", f"{name}/latest", f"{name}@latest")
    for form in forms:
        assert parse_reference(form) == expected
        assert parse_reference(f"models:/{form}") == expected


@given(st.text(max_size=30))
def test_any_text_is_a_sound_reference_or_refused(text):
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        assert repr(text) in str(error)
    else:
        assert parse_reference(str(reference)) == reference
        assert (reference.version is None) != (reference.alias is None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "digits:", "digits@", ":1.0.0", "@production", "digits:1.0", "a b"),
        *("digits:v1.0.0", "digits:production", "models://digits/1.0.0", "a/b/1.0.0"),
        *("../etc/passwd", "digits/../../x", "file:///etc/passwd", "digits@1.0.0"),
        *("digits\x00", None, 3),
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


def test_a_number_given_as_an_alias_is_corrected():
    with pytest.raises(InvalidReferenceError, match=r"NAME:1\.4\.0"):
        parse_reference("digits@1.4.0")


def test_a_missing_model_is_described_by_what_comes_near():
    known = ["digits", "letters", "faces", "cars", "birds", "trees"]
    message = describe_missing_model("digts", known)
    assert "did you mean digits?" in message
    assert "digits, letters, faces, cars, birds, ..." in message
    assert "empty" in describe_missing_model("digits", [])


def test_a_missing_version_is_described_by_what_comes_near():
    wanted = parse_reference("digits:1.4.1")
    assert "did you mean 1.4.0" in describe_missing_version(wanted, ["2.0.0", "1.4.0"])
    far = describe_missing_version(wanted, ["222.33.0"])
    assert "the newest are 222.33.0" in far
    assert "none yet" in describe_missing_version(wanted, [])
