"""One storage root, one registry: who has it, who is refused, who takes it over."""

import asyncio
import json
import threading
from datetime import timedelta

import pytest
from registry.samples import facts_of, weights_of

from flwr_registry.errors import InvalidStateError, StorageOwnerError
from flwr_registry.records import Fate, RunProvenance
from flwr_registry.registry import AsyncModelRegistry, ModelRegistry
from flwr_registry.retention import LatestN
from flwr_registry.storage import FsspecStorageBackend

REFUSED = "belongs to another registry.*storage of its own.*doctor --adopt --registry"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "weights"


@pytest.fixture
def other(tmp_path, root):
    """Another database, without a past, beside the same root."""
    with ModelRegistry(tmp_path / "other.db", root) as opened:
        yield opened


def with_a_past(registry, tmp_path):
    """Give a database a version that lies in a root of its own."""
    with ModelRegistry(registry.url, tmp_path / "its own") as elsewhere:
        elsewhere.register(weights_of(9), model="letters")
    return registry


def owner_of(root):
    return json.loads((root / "registry.json").read_text())


def test_the_first_that_writes_has_the_root(registry, add, root):
    assert registry.list() == [] == registry.doctor()
    assert registry.gc(dry_run=True).orphans == ()
    assert not root.exists()
    add(1)
    said = owner_of(root)
    assert said["format"] == 1
    assert said["database"] == registry.url
    add(2)
    with ModelRegistry(registry.url, root) as again:
        again.register(weights_of(3), model="digits")
        assert again.doctor() == []
        assert again.gc().orphans == ()
        assert again.verify_all().checked == 3
    assert owner_of(root) == said


def test_a_database_with_a_past_is_refused(registry, other, add, root, tmp_path):
    add(1)
    bundle = registry.export("digits", tmp_path / "digits.bundle", to="bundle")
    before = sorted(root.rglob("*"))
    with_a_past(other, tmp_path)
    attempts = [
        lambda: other.register(weights_of(2), model="digits"),
        lambda: other.import_bundle(bundle),
        other.rebuild,
        other.gc,
        lambda: other.gc(LatestN(1), dry_run=True),
        lambda: other.delete_unknown(older_than=timedelta(seconds=1)),
        other.claim_storage,
    ]
    for attempt in attempts:
        with pytest.raises(StorageOwnerError, match=REFUSED) as raised:
            attempt()
        assert raised.value.owner == owner_of(root)["id"]
    (finding,) = other.doctor()
    assert "--adopt" in finding.remedy
    assert [each.model for each in other.list()] == ["letters"]
    assert other.runs() == []
    assert sorted(root.rglob("*")) == before


def test_of_two_that_had_a_root_before_there_was_an_owner_one_keeps_it(
    registry, other, add, sql, root
):
    add(1)
    other.register(weights_of(2), model="letters")
    for place in (root / "registry.json", *(root / "registries").iterdir()):
        place.unlink()
    sql("DELETE FROM registry_identity")
    with ModelRegistry(registry.url, root) as opened:
        opened.register(weights_of(3), model="digits")
        assert opened.doctor()[0].subject.startswith("1 unknown file")
    with (
        ModelRegistry(other.url, root) as opened,
        pytest.raises(StorageOwnerError, match=REFUSED),
    ):
        opened.register(weights_of(4), model="letters")


def test_an_empty_database_takes_over_what_a_lost_one_had(
    registry, add, root, tmp_path, caplog
):
    lost = ModelRegistry(tmp_path / "lost.db", root)
    lost.register(weights_of(1), model="digits")
    said = owner_of(root)
    (tmp_path / "lost.db").unlink()
    # What ran without any storage is no past in another one.
    registry.start_run(RunProvenance("trial", "digits"))
    add(2)
    assert "of one that is gone. 'flwr-registry doctor --rebuild'" in caplog.text
    assert owner_of(root) == said
    assert registry.gc(LatestN(1)).withheld == ""
    with ModelRegistry(registry.url, root) as again:
        again.register(weights_of(3), model="digits")


@pytest.mark.slow
def test_two_databases_of_one_registry_collect_nothing(
    registry, other, add, root, tmp_path, caplog
):
    """Bytes that both have lie under one key, and neither knows that."""
    add(1)
    for number in (2, 3, 4):
        add(number, parent="digits")
    registry.promote("digits:1.1.0")
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        bundle = registry.export(
            f"digits:{version}", tmp_path / f"{version}.bundle", to="bundle"
        )
        other.import_bundle(bundle)
    assert f"shares the storage {root} with {registry.url}" in caplog.text
    for each, another in ((registry, other), (other, registry)):
        done = each.gc(LatestN(1))
        assert (done.versions, done.orphans) == ((), ())
        assert another.url in done.withheld
        explained = {told.reference: told for told in each.explain_gc(LatestN(1))}
        assert {told.fate for told in explained.values()} == {Fate.STAYS}
        assert another.url in explained["digits:1.2.0"].reasons[0]
        with pytest.raises(InvalidStateError, match=r"nothing is deleted: .* is also"):
            each.delete_unknown(older_than=timedelta(seconds=1))
    assert registry.load("digits@production")["layer"][0] == 2
    # Nothing is withheld from the one that is left.
    (tmp_path / "other.db").unlink()
    assert registry.gc(LatestN(1)).withheld == ""
    assert registry.doctor() == []


def test_adopting_brings_back_what_is_told_and_shuts_the_other_out(
    registry, other, add, root, tmp_path
):
    add(1)
    with_a_past(other, tmp_path)
    assert other.adopt(actor="ann") == []
    other.register(weights_of(2), model="digits")
    assert owner_of(root)["database"] == other.url
    (entry,) = other.audit(action="adopt")
    assert entry.actor == "ann"
    assert not other.verify_audit().problems
    # Opened before, it finds out where it could do harm; opened now, at once.
    with pytest.raises(StorageOwnerError, match=REFUSED):
        registry.gc()
    with (
        ModelRegistry(registry.url, root) as opened,
        pytest.raises(StorageOwnerError, match=REFUSED),
    ):
        opened.register(weights_of(3), model="digits")
    assert len(list(root.glob("models/digits/*/*"))) == 2


def test_adopting_what_is_one_s_own_founds_nothing_anew(registry, other, add, root):
    add(1)
    before = owner_of(root)
    assert registry.adopt() == []
    assert owner_of(root) == before
    assert registry.audit(action="adopt") == []
    # As long as another writes there too, it is not this one's alone.
    other.register(weights_of(2), model="digits", version="2.0.0")
    registry.adopt()
    assert owner_of(root)["id"] != before["id"]


def test_one_of_two_that_race_has_the_root(tmp_path, root):
    names = [f"{number}.db" for number in range(4)]
    for name in names:
        ModelRegistry(tmp_path / name, root).close()
    barrier = threading.Barrier(len(names))

    def first_version(name, number):
        with ModelRegistry(tmp_path / name, root) as opened:
            barrier.wait()
            opened.register(weights_of(number), model="digits")

    threads = [
        threading.Thread(target=first_version, args=(name, number))
        for number, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert owner_of(root)["database"].removeprefix(f"sqlite:///{tmp_path}/") in names
    for number, name in enumerate(names):
        with ModelRegistry(tmp_path / name, root) as opened:
            assert opened.register(weights_of(number), model="letters").version
            assert len(opened.list("digits")) == 1


def test_a_storage_that_cannot_create_has_an_owner_too(tmp_path):
    class Plain:
        """A user's own storage with the six methods, and no more."""

        def __init__(self):
            self._storage = FsspecStorageBackend(f"file://{tmp_path}/plain")

        def __getattr__(self, name):
            if name in {"create", "sweep_unfinished"}:
                raise AttributeError(name)
            return getattr(self._storage, name)

    with ModelRegistry(tmp_path / "one.db", Plain()) as opened:
        opened.register(weights_of(1), model="digits")
    with ModelRegistry(tmp_path / "two.db", Plain()) as opened:
        with_a_past(opened, tmp_path)
        with pytest.raises(StorageOwnerError, match=REFUSED):
            opened.claim_storage()


def odd_mark(id="7f0f2f3c-1c6b-4c57-9d6e-3f3f6f0b5a11", database="a.db"):
    said = {"format": 1, "id": id, "database": database, "host": "here"}
    return json.dumps(said)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"format": 2, "id": "x"}',
        "[1]",
        "[" * 60_000,
        odd_mark(id="../../x"),
        odd_mark(id=""),
        odd_mark(database="x" * 70_000),
    ],
    ids=lambda text: text[:20],
)
def test_a_mark_that_cannot_be_read_lets_nobody_write(registry, add, root, text):
    add(1)
    (root / "registry.json").write_text(text)
    with ModelRegistry(registry.url, root) as opened:
        with pytest.raises(
            StorageOwnerError, match=r"registry\.json in .*(--adopt|up)"
        ):
            opened.register(weights_of(2), model="digits")
        assert "registry.json" in opened.doctor()[0].remedy
        assert opened.load("digits").keys() == {"layer"}
        assert opened.adopt() == []
        assert opened.register(weights_of(2), model="digits").version == "1.1.0"


def test_a_mark_of_odd_text_is_shut_out_like_any(registry, add, root):
    add(1)
    for folder in ("registries", "former_registries"):
        (root / folder).mkdir(exist_ok=True)
    (root / "registries/x.json").write_text(odd_mark(database="postgresql:///\ud800"))
    assert "postgresql" in registry.gc().withheld
    registry.adopt()
    with pytest.raises(InvalidStateError, match="former_registries"):
        registry.delete_unknown(older_than=timedelta(days=1))


@pytest.mark.slow
def test_awaited_verbs_are_refused_alike(registry, add, root, tmp_path):
    add(1)

    async def refused():
        async with AsyncModelRegistry(tmp_path / "async.db", tmp_path / "own") as own:
            await own.register(weights_of(1), model="letters")
        async with AsyncModelRegistry(tmp_path / "async.db", root) as opened:
            with pytest.raises(StorageOwnerError, match=REFUSED):
                await opened.register(weights_of(2), model="digits")
            assert await opened.adopt() == []
            await opened.claim_storage()
            run = await opened.start_run(RunProvenance("trial", "digits"))
            await opened.register(
                weights_of(2), model="digits", run=run, facts=facts_of(1)
            )

    asyncio.run(refused())
