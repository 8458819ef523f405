"""register, export and import on the command line."""

import json

import numpy as np

from flwr_registry.registry import ModelRegistry, current_actor


def test_register_export_and_import(run_command, tmp_path):
    place = tmp_path / "model.npz"
    np.savez(place, w=np.ones(3))
    said = run_command("register", str(place), "--model", "digits").stdout
    assert said.startswith("digits:1.0.0 is registered (parent none, sha256 ")
    np.savez(place, w=np.zeros(3))
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
    run_command("register", str(tmp_path), "--model", "digits", code=2)


def test_what_is_said_about_a_version_can_be_changed(run_command, tmp_path):
    place = tmp_path / "model.npz"
    np.savez(place, w=np.ones(2))
    run_command("register", str(place), "--model", "digits", "--framework", "numpy")
    words = ("--description", "The first", "--model-config", '{"depth": 2}')
    said = run_command("describe", "digits", *words, "--actor", "ann").stdout
    assert said == "digits:1.0.0 is described anew: description, model_config\n"
    said = run_command(
        "describe", "digits", "--architecture", "Net", "--format", "json"
    )
    assert json.loads(said.stdout)["version"]["metadata"] == {
        "architecture": "Net",
        "framework": "numpy",
        "model_config": {"depth": 2},
        "tags": {},
        "description": "The first",
        "created_by": current_actor(),
    }
    actors = json.loads(run_command("audit", "list", "--format", "json").stdout)
    assert ("edit_metadata", "ann") in [
        (entry["action"], entry["actor"]) for entry in actors["entries"]
    ]
    for wrong in ([], ["--model-config", "[1]"], ["--model-config", "{"]):
        run_command("describe", "digits", *wrong, code=2)
    run_command("describe", "digits:9.0.0", "--description", "x", code=1)


def test_who_imports_is_recorded_and_what_is_unfit_is_told(run_command, tmp_path):
    with ModelRegistry(tmp_path / "other" / "registry.db") as other:
        other.register({"w": np.array([np.nan])}, model="odd", errors=["NaN in w"])
        other.export("odd:1.0.0", tmp_path / "odd.bundle", to="bundle")
    said = run_command("import", str(tmp_path / "odd.bundle"), "--actor", "eve")
    assert "kept as failed: NaN in w" in said.stderr
    entries = json.loads(run_command("audit", "list", "--format", "json").stdout)
    assert [(entry["action"], entry["actor"]) for entry in entries["entries"]] == [
        ("import", "eve")
    ]


def test_a_place_that_cannot_be_written_is_an_error_without_traceback(
    run_command, tmp_path
):
    place = tmp_path / "model.npz"
    np.savez(place, w=np.ones(2))
    run_command("register", str(place), "--model", "digits")
    (tmp_path / "folder").mkdir()
    words = ("export", "digits", str(tmp_path / "folder"), "--overwrite")
    assert "is a folder: choose" in run_command(*words, code=1).stderr
    words = ("export", "digits", str(place), "--to", "huggingface", "--overwrite")
    assert "is a file: choose" in run_command(*words, code=1).stderr
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_a_version_is_pulled_into_a_folder(run_command, tmp_path):
    place, folder = tmp_path / "model.npz", tmp_path / "served"
    np.savez(place, w=np.ones(2))
    run_command("register", str(place), "--model", "digits")
    said = run_command("pull", "digits", str(folder)).stdout
    assert "digits:1.0.0 is in" in said
    assert "  model.safetensors: written" in said
    said = run_command("pull", "digits", str(folder), "--format", "json").stdout
    assert "model.safetensors" in json.loads(said)["pulled"]["kept"]
    (folder / "model.safetensors").write_text("other")
    assert "--overwrite" in run_command("pull", "digits", str(folder), code=1).stderr
    said = run_command("pull", "digits", str(folder), "--overwrite").stdout
    assert "  config.json: was there already" in said


def test_what_fails_names_the_flag_when_made_and_when_shown(run_command, tmp_path):
    np.savez(tmp_path / "m.npz", w=np.ones(2))
    words = ("--model", "m", "--metric", "accuracy=93")
    made = run_command("register", str(tmp_path / "m.npz"), *words).stderr
    for told in (made, run_command("show", "m:1.0.0").stdout):
        assert "outside [0, 1]; if that is sound, say --any-value accuracy" in told
        assert "metric_ranges" not in told
