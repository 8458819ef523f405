"""The arithmetic of version numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flwr_registry.errors import InvalidNameError
from flwr_registry.registry.versions.version_manager import (
    FIRST_VERSION,
    Bump,
    KnownNumbers,
    NumberedVersion,
    SemVer,
    VersionManager,
    parse_version,
    parse_wanted_version,
)

numbers = st.integers(0, 999_999_999)
versions = st.builds(SemVer, numbers, numbers, numbers)
small = st.integers(0, 3)
taken_versions = st.builds(
    NumberedVersion, st.builds(SemVer, small, small, small), st.sampled_from("ab")
) | st.builds(
    NumberedVersion,
    st.builds(SemVer, small, small, small),
    st.sampled_from("ab"),
    failed=st.just(True),
)


HIGHEST = 999_999_999


@pytest.mark.parametrize("bump", Bump)
def test_what_cannot_rise_is_refused_with_our_error(bump):
    with pytest.raises(InvalidNameError, match=r"no .* version can follow"):
        VersionManager.next_version(f"{HIGHEST}.{HIGHEST}.{HIGHEST}", bump)
    known = [NumberedVersion(SemVer(HIGHEST, HIGHEST, HIGHEST), "a")]
    for options in ({"bump": bump, "origin": known[0]}, {}, {"fingerprint": "b"}):
        with pytest.raises(InvalidNameError):
            choose(known, **options)


@pytest.mark.parametrize("text", [f"{HIGHEST}.0.0", f"1.{HIGHEST}.0", f"1.0.{HIGHEST}"])
def test_nobody_may_want_a_number_that_leaves_no_successor(text):
    parse_version(text)
    with pytest.raises(InvalidNameError, match="leave no number"):
        parse_wanted_version(text)
    assert str(parse_wanted_version("1.999999998.0")) == "1.999999998.0"


def taken(*texts, fingerprint="a", failed=False):
    return [NumberedVersion(parse_version(t), fingerprint, failed) for t in texts]


def choose(known, fingerprint="a", **options):
    manager = VersionManager(KnownNumbers(known))
    return str(manager.choose_version(fingerprint=fingerprint, **options))


@given(versions)
def test_a_version_is_read_back_from_its_text(version):
    assert parse_version(str(version)) == version


@given(st.lists(versions))
def test_versions_sort_as_numbers(several):
    as_tuples = sorted((v.major, v.minor, v.patch) for v in several)
    assert [(v.major, v.minor, v.patch) for v in sorted(several)] == as_tuples


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1.0", "v1.0.0", "01.0.0", "1.00.0", "1.0.0.0", "1.0.0-rc1"),
        *("1!2.3.4", "1.0.0 ", " 1.0.0", "1.0.0\n", "-1.0.0", "+1.0.0", "1_0.0.0"),
        *("1.0.1234567890", "\u0661.0.0", None, 1.0),
    ],
)
def test_anything_but_three_plain_numbers_is_refused(text):
    with pytest.raises(InvalidNameError):
        parse_version(text)


@given(st.builds(SemVer, *[st.integers(0, HIGHEST - 1)] * 3))
def test_a_bump_raises_one_part_and_clears_those_below(version):
    major, minor, patch = (version.raised(bump) for bump in Bump)
    assert (major.major, major.minor, major.patch) == (version.major + 1, 0, 0)
    assert (minor.minor, minor.patch) == (version.minor + 1, 0)
    assert patch.patch == version.patch + 1
    assert version < patch < minor < major


@given(st.builds(SemVer, small, small, small), st.builds(SemVer, small, small, small))
def test_versions_of_one_major_fit_together(one, other):
    fits = VersionManager.is_compatible(str(one), str(other))
    assert fits is (one.major == other.major)


@pytest.mark.parametrize(
    ("bump", "expected"),
    [("major", "2.0.0"), ("minor", "1.5.0"), ("patch", "1.4.3"), (Bump.MAJOR, "2.0.0")],
)
def test_the_next_version_of_a_text_is_a_text(bump, expected):
    assert VersionManager.next_version("1.4.2", bump) == expected
    assert VersionManager.next_version("1.4.2") == "1.5.0"


def test_what_is_no_version_or_no_bump_is_said():
    with pytest.raises(InvalidNameError, match="three numbers"):
        VersionManager.next_version("1.4", "minor")
    with pytest.raises(InvalidNameError, match="three numbers"):
        VersionManager.is_compatible("1.0.0", "v1.5.0")
    with pytest.raises(ValueError, match="use 'major', 'minor' or 'patch'"):
        VersionManager.next_version("1.0.0", "huge")


def test_the_first_version_is_1_0_0_whatever_is_wanted():
    assert choose([]) == "1.0.0"
    assert choose([], failed=True) == "1.0.0"
    for bump in Bump:
        assert choose([], bump=bump) == "1.0.0"


def test_the_same_architecture_bumps_minor_within_the_parents_major():
    known = taken("1.0.0", "1.9.0") + taken("2.0.0", fingerprint="b")
    assert choose(known, origin=known[0]) == "1.10.0"


def test_another_architecture_opens_a_major():
    known = taken("1.0.0", "1.1.0")
    assert choose(known, "b", origin=known[1]) == "2.0.0"
    assert choose(known, "b") == "2.0.0"


def test_a_known_architecture_continues_its_newest_major():
    known = taken("1.4.0", "3.2.1") + taken("2.0.0", "4.0.0", fingerprint="b")
    assert choose(known) == "3.3.0"
    assert choose(known, origin=known[-1]) == "3.3.0"


def test_a_failed_version_never_opens_a_major():
    known = taken("1.0.0", "2.0.0")
    assert choose(known, "b", failed=True, origin=known[0]) == "1.1.0"
    assert choose(known, "b", failed=True) == "2.1.0"
    assert choose(known, "b", failed=True, bump=Bump.MAJOR) == "2.1.0"


def test_a_major_of_failed_versions_only_is_free_for_a_sound_one():
    assert choose(taken("1.0.0", failed=True)) == "1.1.0"
    assert choose(taken("1.0.0", failed=True), "b") == "1.1.0"
    known = taken("1.0.0") + taken("1.1.0", fingerprint="b", failed=True)
    assert choose(known, "b") == "2.0.0"


def test_a_patch_takes_the_next_free_one_of_its_origin():
    known = taken("1.2.0", "1.2.1", "1.3.0", "1.2.7")
    assert choose(known, origin=known[0], bump=Bump.PATCH) == "1.2.8"
    assert choose(known, origin=known[2], bump=Bump.PATCH) == "1.3.1"


def test_a_forced_major_rises_above_all():
    known = taken("1.2.0") + taken("7.0.0", failed=True)
    assert choose(known, origin=known[0], bump=Bump.MAJOR) == "8.0.0"


@given(
    st.lists(taken_versions, max_size=12),
    st.sampled_from("abc"),
    st.booleans(),
    st.none() | st.sampled_from(list(Bump)),
    st.data(),
)
def test_a_chosen_number_is_free_and_fits_its_major(
    known, fingerprint, failed, bump, data
):
    sound = [version for version in known if not version.failed]
    origin = data.draw(st.none() | st.sampled_from(sound)) if sound else None
    chosen = VersionManager(KnownNumbers(known)).choose_version(
        fingerprint=fingerprint,
        failed=failed,
        origin=origin,
        bump=bump,
    )
    assert chosen not in {version.number for version in known}
    if not known:
        assert chosen == FIRST_VERSION
    elif failed:
        assert chosen.major in {version.number.major for version in known}
    elif bump is None and origin is not None and origin.fingerprint == fingerprint:
        assert chosen.major == origin.number.major
        assert chosen > origin.number
