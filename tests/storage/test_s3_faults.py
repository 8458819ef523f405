"""Faults on the way to S3: each ends in success or a clear error, and nothing half."""

from uuid import uuid4

import numpy as np
import pytest
from storage.faulty_proxy import LASTING, Fault, faulty_proxy
from storage.s3_servers import CREDENTIALS

from flwr_registry import ModelRegistry
from flwr_registry.errors import StorageError
from flwr_registry.storage import BytesContent, S3StorageBackend

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untouched_generators")]

PART_BYTES = 5 * 2**20
LARGE = bytes(range(256)) * (13 * 2**20 // 256) + b"end"
SMALL = b"small content"

POINTS = {
    "put": r"^PUT .*/a$",
    "create": r"^POST .*\?uploads",
    "part": r"^PUT .*partNumber=2",
    "complete": r"^POST .*\?uploadId",
    "load": r"^GET .*/a$",
    "list": r"^GET .*list-type",
    "delete": r"^DELETE .*/a$",
}
FAULTS = [
    pytest.param(each, id=each.name.lower()) for each in Fault if each not in LASTING
]


@pytest.fixture(scope="module")
def proxied(s3_endpoint):
    with faulty_proxy(s3_endpoint("seaweedfs")) as found:
        yield found


def opened(endpoint, attempts=5):
    retries = {"mode": "standard", "max_attempts": attempts}
    return S3StorageBackend(
        f"s3://models/{uuid4().hex}",
        endpoint_url=endpoint,
        part_bytes=PART_BYTES,
        config_kwargs={"retries": retries},
        **CREDENTIALS,
    )


def parts_left_in(storage):
    """Bytes of unfinished uploads; one that was begun unknown to us has none."""
    return storage.sweep_unfinished(-60)


def work_at(point, storage):
    """Do what makes the request of a point; return the content that must be there."""
    if point in ("put", "create", "part", "complete"):
        content = SMALL if point == "put" else LARGE
        storage.save("a", BytesContent(content))
        return content
    if point == "load":
        assert storage.load("a") == b"before"
    elif point == "list":
        assert list(storage.list("")) == ["a"]
    elif point == "delete":
        storage.delete("a")
        return None
    return b"before"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", POINTS)
def test_a_passing_fault_is_not_noticed(proxied, point, fault):
    endpoint, proxy = proxied
    storage = opened(endpoint)
    storage.save("a", BytesContent(b"before"))
    proxy.fail(fault, POINTS[point], times=1)
    expected = work_at(point, storage)
    assert proxy.left == 0, "the fault never came"
    if expected is None:
        assert not storage.exists("a")
    else:
        assert storage.load("a") == expected
    assert parts_left_in(storage) == 0


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.RESET, Fault.CUT])
@pytest.mark.parametrize("point", POINTS)
def test_a_lasting_fault_is_told_and_changes_nothing(proxied, point, fault):
    endpoint, proxy = proxied
    storage = opened(endpoint, attempts=2)
    storage.save("a", BytesContent(b"before"))
    proxy.fail(fault, POINTS[point], times=1000)
    if fault is Fault.CUT and point in ("put", "part", "delete"):
        proxy.fail(fault, POINTS[point], times=0)  # their answers have no body
    else:
        with pytest.raises(StorageError) as caught:
            work_at(point, storage)
        assert storage.url in str(caught.value)
    proxy.fail(fault, POINTS[point], times=0)
    if point == "complete" and fault is Fault.CUT:
        assert storage.load("a") in (b"before", LARGE)
    elif fault is not Fault.CUT or point not in ("put", "part", "delete"):
        assert storage.load("a") == b"before"
    assert parts_left_in(storage) == 0


def test_a_body_that_breaks_off_again_and_again_is_put_together(proxied):
    endpoint, proxy = proxied
    storage = opened(endpoint)
    storage.save("a", BytesContent(LARGE))
    proxy.fail(Fault.CUT, POINTS["load"], times=4)
    assert storage.load("a") == LARGE
    proxy.fail(Fault.CUT, POINTS["load"], times=4)
    with storage.open("a") as file:
        file.seek(-1000, 2)
        assert file.read() == LARGE[-1000:]
    assert proxy.left == 0


def test_a_small_read_costs_little_and_a_long_one_fetches_ahead(proxied):
    endpoint, proxy = proxied
    storage = opened(endpoint)
    storage.save("a", BytesContent(LARGE))
    for place in (0, 7_000_000, 3_000_000):
        before = proxy.answered_bytes
        with storage.open("a") as file:
            file.seek(place)
            assert file.read(100) == LARGE[place : place + 100]
        assert proxy.answered_bytes - before <= 2**18
    proxy.seen.clear()
    before = proxy.answered_bytes
    assert storage.load("a") == LARGE
    assert proxy.answered_bytes - before == len(LARGE)
    assert len(proxy.seen) <= 6


def test_an_object_that_changes_while_it_is_read_is_told(proxied):
    endpoint, _ = proxied
    storage = opened(endpoint)
    storage.save("a", BytesContent(LARGE))
    with storage.open("a") as file:
        assert file.read(100) == LARGE[:100]
        storage.save("a", BytesContent(LARGE[::-1]))
        with pytest.raises(OSError, match=r"(?i)condition"):
            file.read()


def test_of_a_tensor_asked_for_unverified_nothing_else_comes(proxied, tmp_path):
    endpoint, proxy = proxied
    model = {"bulk": np.zeros(3 * 2**20, np.float32), "head": np.ones(1000, np.float32)}
    with ModelRegistry(tmp_path / "registry.db", opened(endpoint)) as registry:
        registry.register(model, model="digits")
        before = proxy.answered_bytes
        found = registry.load_tensors("digits", ["head"], verify=False)
        assert proxy.answered_bytes - before < 2**20
    np.testing.assert_array_equal(found["head"], model["head"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_version_is_whole_or_not_there(proxied, fault, tmp_path):
    """Whatever happens to one upload of many."""
    endpoint, proxy = proxied
    storage = opened(endpoint, attempts=2)
    model = {"w": np.arange(3 * 2**20, dtype=np.float32)}
    with ModelRegistry(tmp_path / "registry.db", storage) as registry:
        for number in range(3):
            proxy.fail(fault, "^P", times=number)
            try:
                registry.register(model, model="digits", version=f"1.{number}.0")
            except StorageError:
                assert fault is not Fault.DELAYED
            model["w"] = model["w"] + 1
        proxy.fail(fault, "^P", times=0)
        for version in registry.list("digits"):
            registry.load(version.reference)
        assert registry.verify_all().problems == ()
        assert parts_left_in(storage) == 0
