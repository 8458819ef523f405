#!/usr/bin/env bash
# Makes an environment (once), serves a model with one and with two replicas, and predicts for a large set.
# EXAMPLE_VENV=PATH uses an environment that has everything, and installs nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${EXAMPLE_VENV:-$here/../.venv}
if [ -z "${EXAMPLE_VENV:-}" ]; then
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -e "$here/../.." -e "$here"
fi
export FLWR_HOME=$here/.flwr PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
export FLWR_TELEMETRY_ENABLED=0 RAY_USAGE_STATS_ENABLED=0 RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0
exec "$venv/bin/python" -m scale_out "$@"
