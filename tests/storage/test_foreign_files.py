"""Links and files of others below a local root are found, and end nothing."""

import os

import pytest

from flwr_registry.errors import ObjectNotFoundError, ObjectUnreadableError
from flwr_registry.storage import BytesContent, LocalStorageBackend
from flwr_registry.storage.local_storage import _entries_of


@pytest.fixture
def storage(tmp_path):
    opened = LocalStorageBackend(tmp_path / "root")
    opened.save("models/m/1.0.0/a", BytesContent(b"x"))
    return opened


def linked(storage):
    return {each.key: each.linked for each in storage.inspect("models")}


def link(storage, name, to):
    os.symlink(to, os.path.join(storage.url, name))


def test_links_are_found_as_such(storage, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"y")
    link(storage, "models/m/file", tmp_path / "elsewhere")
    link(storage, "models/m/dangling", tmp_path / "nothing")
    link(storage, "models/m/itself", "itself")
    assert linked(storage) == {
        "models/m/1.0.0/a": False,
        "models/m/file": True,
        "models/m/dangling": True,
        "models/m/itself": True,
    }
    assert set(storage.list("")) == linked(storage).keys()
    assert not storage.exists("models/m/itself")
    for name in ("dangling", "itself"):
        for read in (storage.open, storage.load):
            with pytest.raises(ObjectNotFoundError):
                read(f"models/m/{name}")


@pytest.fixture(params=[False, True], ids=["as listed", "the other way"])
def either_order(request, monkeypatch):
    """Let a folder give its entries in one order, and in the other."""
    module = "flwr_registry.storage.local_storage"
    monkeypatch.setattr(
        f"{module}._entries_of",
        lambda folder: sorted(
            _entries_of(folder), key=lambda each: each.name, reverse=request.param
        ),
    )


@pytest.mark.usefixtures("either_order")
def test_each_link_to_a_folder_is_looked_through(storage, tmp_path):
    (tmp_path / "disk" / "2.0.0").mkdir(parents=True)
    (tmp_path / "disk" / "2.0.0" / "b").write_bytes(b"y")
    link(storage, "models/n", tmp_path / "disk")
    link(storage, "models/o", tmp_path / "disk")
    link(storage, "models/p", tmp_path / "disk" / "2.0.0")
    keys = ["models/n/2.0.0/b", "models/o/2.0.0/b", "models/p/b"]
    assert list(storage.list("models")) == ["models/m/1.0.0/a", *keys]
    assert storage.load("models/n/2.0.0/b") == b"y"
    links = ["models/n", "models/o", "models/p", *keys]
    assert linked(storage) == {"models/m/1.0.0/a": False, **dict.fromkeys(links, True)}


@pytest.mark.parametrize("prefix", ["", "models", "models/n", "models/n/2.0.0"])
def test_what_lies_behind_a_link_is_linked_wherever_the_listing_begins(
    storage, tmp_path, prefix
):
    (tmp_path / "disk" / "2.0.0").mkdir(parents=True)
    (tmp_path / "disk" / "2.0.0" / "b").write_bytes(b"y")
    os.symlink(tmp_path / "disk", tmp_path / "disk" / "2.0.0" / "back")
    link(storage, "models/n", tmp_path / "disk")
    found = {each.key: each.linked for each in storage.inspect(prefix)}
    for above in ("models/m/1.0.0/a", "models/n"):
        found.pop(above, None)
    assert found == {"models/n/2.0.0/b": True, "models/n/2.0.0/back": True}


def test_folders_that_link_to_each_other_are_listed_in_good_time(storage, tmp_path):
    for name in range(8):
        (tmp_path / "disk" / str(name)).mkdir(parents=True)
        for other in range(8):
            os.symlink(f"../{other}", tmp_path / "disk" / str(name) / str(other))
    link(storage, "models/n", tmp_path / "disk" / "0")
    assert len(list(storage.list(""))) < 5_000


def test_a_link_back_ends(storage, tmp_path):
    for number, to in enumerate(("..", ".", "../..", "../../..", tmp_path)):
        link(storage, f"models/m/1.0.0/{number}", to)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    os.symlink(tmp_path / "b", tmp_path / "a" / "to-b")
    os.symlink(tmp_path / "a", tmp_path / "b" / "to-a")
    link(storage, "models/a", tmp_path / "a")
    assert list(storage.list("models/m")) == [
        f"models/m/1.0.0/{each}" for each in "01234a"
    ]
    assert len(list(storage.list(""))) < 20


def test_the_whole_root_may_lie_elsewhere(storage, tmp_path):
    os.rename(tmp_path / "root" / "models", tmp_path / "disk")
    link(storage, "models", tmp_path / "disk")
    assert linked(storage) == {"models/m/1.0.0/a": False}


def test_what_may_not_be_read_is_told_from_what_is_gone(storage, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    # Root may read anything, so the file system has to refuse here.
    monkeypatch.setattr(storage._fs, "open", refuse)
    for read in (storage.open, storage.load):
        with pytest.raises(ObjectUnreadableError, match="Permission denied"):
            read("models/m/1.0.0/a")


def test_unfinished_files_are_removed_and_links_are_not(storage, tmp_path):
    folder = tmp_path / "root" / "models" / "m"
    (folder / ".0a.tmp").write_bytes(b"123")
    (folder / ".0b.tmp").mkdir()
    link(storage, "models/m/.0c.tmp", ".0c.tmp")
    link(storage, "models/m/.0d.tmp", tmp_path / "nothing")
    assert storage.sweep_unfinished(-1) == 3
    assert len(os.listdir(folder)) == 4
