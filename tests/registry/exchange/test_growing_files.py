"""No verb takes more memory or time than stored bytes, or those of a bundle, allow."""

import json
import tracemalloc
import zipfile
from contextlib import suppress
from hashlib import sha256

import numpy as np
import pytest
from weights.growing_files import SAFETENSORS

from flwr_registry.errors import RegistryError, WeightsFormatError
from flwr_registry.serving import Predictor
from flwr_registry.storage import BytesContent

SOME_MEMORY = 16 * 1024 * 1024
ROW = """UPDATE model_versions
    SET storage_path = :path, checksum = :sum, file_size_bytes = :size"""


@pytest.mark.parametrize("name", SAFETENSORS)
def test_what_claims_more_than_it_holds(registry, sql, tmp_path, name):
    """Also where a row says that these are the bytes, as somebody else may write it."""
    data = SAFETENSORS[name]
    registry.register({"w": np.ones(3)}, model="digits")
    bundle = forged(registry.export("digits", tmp_path / "bundle", to="bundle"), data)
    stored = registry.storage.save("models/digits/1.0.0/a", BytesContent(data))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsFormatError):
            registry.import_bundle(bundle, model="theirs")
        with pytest.raises(WeightsFormatError):
            registry.register(data, model="theirs")
        assert len(registry.list()) == 1
        sql(ROW, path=stored.key, sum=stored.sha256, size=stored.size_bytes)
        registry.verify("digits")
        for read in (
            lambda: registry.load("digits").to_torch(),
            lambda: registry.load_tensors("digits", ["w"]),
            lambda: registry.diff("digits", "digits"),
            lambda: registry.export("digits", tmp_path / "pt", to="torch"),
            lambda: Predictor(registry, "digits"),
        ):
            with suppress(RegistryError):
                read()
        assert tracemalloc.get_traced_memory()[1] < SOME_MEMORY
    finally:
        tracemalloc.stop()


def forged(bundle, weights):
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    manifest["sha256"] = sha256(weights).hexdigest()
    manifest["size_bytes"] = len(weights)
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("weights.safetensors", weights)
    return bundle
