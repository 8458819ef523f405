"""Names of the original design: each is there, or a table says what took its place."""

import re
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

import flwr_registry
from flwr_registry.registry.rows.version_db import VersionRow

# Folder, class, and its public methods and attributes, as the design writes them.
DESIGN = {
    "registry": {
        "ModelRegistry": (
            *("register", "get_production_model", "promote_to_production", "rollback"),
            *("storage",),
        ),
        "VersionManager": ("next_version", "is_compatible"),
        "ModelAuditLog": (),
    },
    "records": {
        "ModelVersion": (
            *("id", "version", "round_id", "storage_path", "checksum", "val_loss"),
            *("file_size_bytes", "val_accuracy", "architecture", "framework", "status"),
            *("model_config", "tags", "parent_version", "num_clients", "total_rounds"),
            *("is_production", "created_at", "promoted_at", "archived_at"),
            *("description", "created_by"),
        )
    },
    "storage": {
        "StorageBackend": ("save", "load", "delete", "exists", "compute_checksum"),
        "LocalStorageBackend": ("save", "load", "delete", "exists", "base_path"),
        "S3StorageBackend": ("save", "load", "bucket", "session"),
    },
    "serving": {"ModelServer": (), "Predictor": ()},
    "checkpointing": {
        "CheckpointManager": (
            *("save", "load_latest", "load_round", "dir", "keep_last_n"),
        ),
        "CheckpointScheduler": (),
    },
    "validation": {
        "ModelValidator": (
            *("validate", "expected_architecture", "reference_keys"),
            *("reference_shapes",),
        ),
        "DriftDetector": (),
    },
    "errors": {
        name: ()
        for name in (
            *("DuplicateVersionError", "ModelNotFoundError", "NoProductionModelError"),
            *("InvalidStateError", "IntegrityError", "RollbackError"),
        )
    },
}
MODULES = [
    *("registry/model_registry.py", "registry/version_manager.py"),
    *("registry/registry_db.py", "storage/storage_backend.py"),
    *("storage/local_storage.py", "storage/s3_storage.py", "serving/model_server.py"),
    *("serving/predictor.py", "checkpointing/checkpoint_manager.py"),
    *("checkpointing/checkpoint_scheduler.py", "validation/model_validator.py"),
    "validation/drift_detector.py",
]
NAMES = [
    (folder, name, member)
    for folder, classes in DESIGN.items()
    for name, members in classes.items()
    for member in (None, *members)
]

PACKAGE = Path(flwr_registry.__file__).parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (PACKAGE / "README.md").read_text().splitlines()
    if line.startswith("| ")
][2:]
# Whatever of a class is in the first column: `Name.member(…)`, `.member`, `Name(…)`.
TOLD = {
    (name, member or later)
    for told, _, _ in ROWS
    for name in re.findall(r"`([A-Z]\w+)", told)[:1]
    for member, later in re.findall(r"`\w*?\.(\w+)|`[A-Z]\w+\.(\w+)", told)
} | {(name, None) for told, _, _ in ROWS for name in re.findall(r"`(\w+)`", told)}


def place_of(dotted):
    """Return what a name in the table stands for."""
    first, *rest = dotted.split(".")
    if first == "flwr_registry" or first in flwr_registry.__all__:
        value = (
            flwr_registry if first == "flwr_registry" else getattr(flwr_registry, first)
        )
    else:
        value = import_module(f"flwr_registry.{first}")
    for part in rest:
        if isinstance(value, type):
            fields = getattr(value, "__dataclass_fields__", {})
            value = fields.get(part) or getattr(value, part)
        else:
            value = getattr(value, part, None) or import_module(
                f"{value.__name__}.{part}"
            )
    return value


def has(value, member):
    annotated = getattr(value, "__annotations__", {})
    slots = getattr(value, "__slots__", ())
    documented = re.search(rf"^ +{member} : ", value.__doc__ or "", re.M)
    return bool(
        hasattr(value, member) or member in annotated or member in slots or documented
    )


@pytest.mark.parametrize(
    ("folder", "name", "member"), NAMES, ids=[".".join(filter(None, n)) for n in NAMES]
)
def test_a_name_is_there_or_in_the_table(folder, name, member):
    if (name, member) in TOLD:
        return
    value = getattr(import_module(f"flwr_registry.{folder}"), name)
    assert member is None or has(value, member), f"{name}.{member} is nowhere"
    if folder != "errors":
        assert getattr(flwr_registry, name) is value


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_there_or_in_the_table(module):
    told = any(f"`{module}`" in row[0] for row in ROWS)
    assert told or (PACKAGE / module).is_file()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_the_table_names_is_there(row):
    told, here, why = row
    assert told and why
    spans = re.findall(r"`([\w.]+)(?:\(([\w, ]*)\))?`", here)
    assert spans, "says no place"
    for dotted, parameters in spans:
        value = place_of(dotted)
        known = signature(value).parameters if parameters else ()
        assert set(filter(None, parameters.split(", "))) <= set(known), dotted


def test_the_table_of_versions_has_the_columns_of_the_design():
    columns = set(DESIGN["records"]["ModelVersion"])
    assert columns <= set(VersionRow.__table__.columns.keys())
    assert VersionRow.__tablename__ == "model_versions"
