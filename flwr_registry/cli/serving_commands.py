"""The command that serves a model."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from flwr_registry.cli.application import (
    RegistryPlace,
    StoragePlace,
    app,
    opened_registry,
    tell,
)

_DEFAULT_PORT = 8080

Factory = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:CLASS",
        help="The torch module; by default what was recorded with the version.",
    ),
]
Predict = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:FUNCTION", help="predict(weights, inputs), without torch."
    ),
]
LoadTimeout = Annotated[
    float, typer.Option(help="For a version to be loaded, in its trial and here.")
]
WithoutTrial = Annotated[
    str,
    typer.Option(
        metavar="REASON",
        help="Serve versions without trying them in a process of their own first.",
    ),
]
MaxBody = Annotated[int, typer.Option(help="Longer requests are refused.")]
MaxOpenBody = Annotated[
    int, typer.Option(help="Of all requests under way; those beyond get 503.")
]
MaxValues = Annotated[int, typer.Option(help="Values in the JSON of a request.")]
MaxRows = Annotated[int, typer.Option(help="Examples in a request.")]
MaxAnswer = Annotated[int, typer.Option(help="Longer answers are not given.")]
MaxConnections = Annotated[
    int, typer.Option(help="Open at once; beyond, the one idle longest is closed.")
]
Timeout = Annotated[float, typer.Option(help="From a complete request to its answer.")]
Transfer = Annotated[
    float, typer.Option(help="For a head, a body or an answer to arrive.")
]
Idle = Annotated[
    float, typer.Option(help="How long a connection may be open without a request.")
]


@app.command()
def serve(
    model: Annotated[
        str,
        typer.Option(
            metavar="REF", help="A name, for its production version; or NAME@ALIAS."
        ),
    ],
    factory: Factory = None,
    predict: Predict = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = _DEFAULT_PORT,
    token: Annotated[
        str,
        typer.Option(
            envvar="FLWR_REGISTRY_TOKEN", help="What callers must show as bearer token."
        ),
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let others ask without a token.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where to compute.")] = "cpu",
    poll_seconds: Annotated[
        float, typer.Option(help="How often to look for another version.")
    ] = 1.0,
    load_timeout_seconds: LoadTimeout = 120.0,
    without_trial: WithoutTrial = "",
    max_body_bytes: MaxBody = 16 * 1024 * 1024,
    max_open_body_bytes: MaxOpenBody = 128 * 1024 * 1024,
    max_values: MaxValues = 1_000_000,
    max_rows: MaxRows = 100_000,
    max_answer_bytes: MaxAnswer = 64 * 1024 * 1024,
    max_connections: MaxConnections = 400,
    timeout_seconds: Timeout = 30.0,
    transfer_seconds: Transfer = 30.0,
    idle_seconds: Idle = 5.0,
    registry: RegistryPlace = None,
    storage: StoragePlace = None,
) -> None:
    """Serve a model over HTTP (Open Inference Protocol), and follow its promotions."""
    # Not before it is wanted: FastAPI takes half a second.
    from flwr_registry.serving import ModelServer
    from flwr_registry.serving.predictor_loader import PredictorLoader
    from flwr_registry.serving.server_options import ServerOptions

    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    # The app's own module is found when the command runs in its folder.
    sys.path.insert(0, str(Path.cwd()))
    try:
        options = ServerOptions(
            host=host,
            port=port,
            token=token,
            insecure=insecure,
            poll_seconds=poll_seconds,
            load_timeout_seconds=load_timeout_seconds,
            without_trial=without_trial,
            max_body_bytes=max_body_bytes,
            max_open_body_bytes=max_open_body_bytes,
            max_values=max_values,
            max_rows=max_rows,
            max_answer_bytes=max_answer_bytes,
            max_connections=max_connections,
            timeout_seconds=timeout_seconds,
            transfer_seconds=transfer_seconds,
            idle_seconds=idle_seconds,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with opened_registry(registry, storage) as opened:
        first = "" if without_trial else ", in a process of its own first"
        tell(f"loading {model}{first}")
        load = PredictorLoader(opened, factory, predict=predict, device=device)
        ModelServer(opened, model, load, options).run()
