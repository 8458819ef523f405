"""Runs an app by `flwr run`, simulated or deployed, and leaves no process behind."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = ["FlowerHome", "FlowerRun", "deployment", "simulation"]

SIMULATED = "num-supernodes=2 init-args-num-cpus=2 client-resources-num-cpus=1"
START_SECONDS = 60
RUN_SECONDS = 300
END_SECONDS = 15


@dataclass(frozen=True)
class FlowerRun:
    """A run that ended: what `flwr list` says of it, and its log."""

    run_id: str
    status: str
    details: str
    log: str


@dataclass(frozen=True)
class FlowerHome:
    """Flower's home folder of one test, the SuperLink in it and how to reach that.

    Attributes
    ----------
    superlink : str
        The connection's name in the home's ``config.toml``.
    run_options : tuple of str
        What `flwr run` needs beside the app and the run configuration.
    """

    path: Path
    port: int
    superlink: str
    run_options: tuple[str, ...] = ()

    def run(self, app: Path, run_config: Mapping[str, object]) -> FlowerRun:
        """Run a copy of `app` to its end; `flwr run` exits 0 whatever became of it."""
        run_id, log = self._run(app, run_config, "--stream")
        listed = self._listed(run_id)
        return FlowerRun(run_id, listed["status"], listed["status-details"], log)

    def start(self, app: Path, run_config: Mapping[str, object]) -> str:
        """Start a run of a copy of `app`; return its id."""
        return self._run(app, run_config)[0]

    def stop(self, run_id: str) -> str:
        """Stop a run by `flwr stop`; return its status once it has ended."""
        self.flwr("stop", run_id, self.superlink)
        status: str = self._listed(run_id)["status"]
        return status

    def kill(self, program: str = "") -> None:
        """Kill the home's processes, or those of one program, without a warning."""
        killed = [
            process
            for process in _processes_of(self)
            if any(program in part for part in process.cmdline()[:2])
        ]
        assert killed
        for process in killed:
            _signal(process, kill=True)
        psutil.wait_procs(killed, timeout=END_SECONDS)

    def _run(
        self, app: Path, run_config: Mapping[str, object], *options: str
    ) -> tuple[str, str]:
        copy = self.path / "sources" / f"{app.name}-{time.monotonic_ns()}"
        shutil.copytree(app, copy, ignore=shutil.ignore_patterns("__pycache__"))
        command = ["run", str(copy), self.superlink, *options, *self.run_options]
        for key, value in run_config.items():
            command += ["--run-config", f"{key}={json.dumps(value)}"]
        log = self.flwr(*command)
        found = re.search(r"Successfully started run (\d+)", log)
        assert found is not None, log
        return found.group(1), log

    def flwr(self, *arguments: str) -> str:
        """Return what the `flwr` command prints."""
        finished = subprocess.run(
            ["flwr", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def environment(self) -> dict[str, str]:
        """Return the environment that keeps all of Flower inside this home."""
        scripts = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
            "FLWR_HOME": str(self.path),
            "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": str(self.port),
            "FLWR_LOCAL_CONTROL_API_PORT": str(self.port),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        }

    def _listed(self, run_id: str) -> dict[str, Any]:
        """Return the run's row once it has ended: the log stream may end before it."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            printed = self.flwr(
                "list", self.superlink, "--run-id", run_id, "--format", "json"
            )
            row: dict[str, Any] = json.loads(printed)["runs"][0]
            if row["status"].startswith("finished") or time.monotonic() > deadline:
                return row
            time.sleep(0.5)


@contextmanager
def simulation(folder: Path) -> Iterator[FlowerHome]:
    """Give a home whose first `flwr run` starts a detached local SuperLink."""
    options = ("--federation-config", SIMULATED)
    home = FlowerHome(folder, _free_port(), "local", options)
    with _ended(home):
        yield home


@contextmanager
def deployment(folder: Path, num_nodes: int = 2) -> Iterator[FlowerHome]:
    """Give a home with a SuperLink and SuperNodes that run on loopback."""
    home = FlowerHome(folder, _free_port(), "deployment")
    address = f"127.0.0.1:{home.port}"
    connection = f'[superlink.deployment]\naddress = "{address}"\ninsecure = true\n'
    (folder / "config.toml").write_text(connection)
    with ExitStack() as started, _ended(home):

        def start(name: str, *command: str) -> None:
            log = started.enter_context((folder / f"{name}.log").open("wb"))
            started.enter_context(
                subprocess.Popen(
                    command,
                    env=home.environment(),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )

        place = ("--insecure", "--host", "127.0.0.1", "--port")
        start("superlink", "flower-superlink", *place, str(home.port))
        _wait_until_healthy(home.port)
        for node in range(num_nodes):
            command = ("flower-supernode", *place, str(_free_port()))
            config = f"partition-id={node} num-partitions={num_nodes}"
            joined = ("--superlink", address, "--node-config", config)
            start(f"supernode-{node}", *command, *joined)
        yield home


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_healthy(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        finally:
            connection.close()
        time.sleep(0.3)


@contextmanager
def _ended(home: FlowerHome) -> Iterator[None]:
    """End every process that lives in `home`, detached ones included."""
    try:
        yield
    finally:
        processes = _processes_of(home)
        for process in processes:
            _signal(process, kill=False)
        _, stubborn = psutil.wait_procs(processes, timeout=END_SECONDS)
        for process in stubborn:
            _signal(process, kill=True)
        psutil.wait_procs(stubborn, timeout=END_SECONDS)


def _processes_of(home: FlowerHome) -> list[psutil.Process]:
    """Return the processes with this home in their environment: surely this test's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FLWR_HOME") == str(home.path):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
