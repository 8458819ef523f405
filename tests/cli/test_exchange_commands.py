"""register, export and import on the command line."""

import json

import numpy as np
import torch


def test_register_export_and_import(run_command, tmp_path):
    place = tmp_path / "model.pt"
    torch.save({"w": torch.ones(3)}, place)
    said = run_command("register", str(place), "--model", "digits").stdout
    assert said.startswith("digits:1.0.0 is registered (parent none, sha256 ")
    torch.save({"w": torch.zeros(3)}, place)
    words = ("--bump", "patch", "--parent", "1.0.0", "--metric", "accuracy=0.5")
    said = run_command(
        *("register", str(place), "--model", "digits", *words, "--tag", "site=north"),
        *("--actor", "ann", "--format", "json"),
    )
    version = json.loads(said.stdout)["version"]
    assert (version["version"], version["parent_version"]) == ("1.0.1", "1.0.0")
    assert version["val_accuracy"] == 0.5
    assert version["metadata"]["tags"] == {"site": "north"}
    assert version["metadata"]["created_by"] == "ann"
    bundle = tmp_path / "one.bundle"
    run_command("export", "digits:1.0.1", str(bundle), "--to", "bundle")
    run_command("export", "digits:1.0.1", str(bundle), "--to", "bundle", code=1)
    said = run_command("import", str(bundle), "--model", "theirs").stdout
    assert said.startswith("theirs:1.0.1 is imported")


def test_what_is_unfit_or_mistyped(run_command, tmp_path):
    place = tmp_path / "model.npz"
    np.savez(place, w=np.array([np.inf]))
    words = ("register", str(place), "--model", "digits")
    assert "not registered" in run_command(*words, code=1).stderr
    place.write_text("hello")
    assert "model.npz" in run_command(*words, code=1).stderr
    for extra in (["--bump", "huge"], ["--metric", "accuracy"], ["--metric", "a=b"]):
        run_command(*words, *extra, code=2)
    run_command("register", "nowhere.pt", "--model", "digits", code=2)
    run_command("import", "nowhere", code=1)
