#!/usr/bin/env bash
# Runs an example federation on this machine, then shows what was registered.
#
#   bash run_app.sh FOLDER MODEL
#
# Needs Python 3.11 or later and nothing else. Writes to examples/.venv and FOLDER/.flwr only.
# EXAMPLE_VENV=PATH uses an environment that has everything, and installs nothing.
# RUN_CONFIG="num-server-rounds=20" changes the app's run configuration.
# pip's own settings choose the build of torch; one for the CPU is enough.
set -euo pipefail

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
app=$examples/$1
model=$2
venv=${EXAMPLE_VENV:-$examples/.venv}

export FLWR_HOME=$app/.flwr
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
export RAY_USAGE_STATS_ENABLED=0 RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0

say() { printf '\n== %s\n' "$*"; }

step() { printf '   %s (%d s so far)\n' "$*" "$SECONDS"; }

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail 'No Python 3.11 or later was found.'
}

install() {
    local stamp=$venv/.installed-${app##*/}
    if [ "$stamp" -nt "$app/pyproject.toml" ] && [ "$stamp" -nt "$examples/../pyproject.toml" ]; then
        return
    fi
    say "Installing into $venv: once, a few minutes, mostly downloads"
    step 'an environment'
    [ -x "$venv/bin/pip" ] || "$(find_python)" -m venv "$venv"
    if grep -q '"torch' "$app/pyproject.toml" && ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
        step 'torch, the largest part'
        "$venv/bin/pip" install --quiet torch==2.13.0 || "$venv/bin/pip" install --quiet torch
    fi
    step 'flwr-registry and what the example needs'
    "$venv/bin/pip" install --quiet -e "$examples/.." -e "$app"
    touch "$stamp"
    printf '   done after %d s\n' "$SECONDS"
}

# A SuperLink of our own, on a free port: it ends with this script, and no other is touched.
# The environment is complete, so it need not install the app's dependencies for each run.
start_superlink() {
    local port
    port=$(python -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
    mkdir -p "$FLWR_HOME"
    cat >"$FLWR_HOME/config.toml" <<TOML
[superlink]
default = "example"

[superlink.example]
address = "127.0.0.1:$port"
insecure = true
TOML
    set -m # A group of its own: Ctrl-C must find its processes still there.
    flower-superlink --insecure --simulation --host 127.0.0.1 --port "$port" \
        --disable-runtime-dependency-installation >"$FLWR_HOME/superlink.log" 2>&1 &
    superlink=$!
    set +m
    trap stop_superlink EXIT
    until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$superlink" 2>/dev/null || fail "The SuperLink ended; see $FLWR_HOME/superlink.log"
        sleep 0.2
    done
}

# Ctrl-C ends the log alone: the federation is a process of the SuperLink.
stop_superlink() {
    local group
    for group in $(pgrep -P "$superlink"); do
        # A simulation that is told to end would finish all of its rounds first.
        kill -KILL -- "-$group" 2>/dev/null || true
    done
    kill "$superlink" 2>/dev/null || true
    wait "$superlink" 2>/dev/null || true
    # It names a SuperLink that is gone: without it `flwr run` starts one.
    rm -f "$FLWR_HOME/config.toml"
}

# `flwr run --stream` exits 0 even when the run failed.
check_completed() {
    local status
    for _ in 1 2 3 4 5; do
        status=$(flwr list --format json | grep -o 'finished:[a-z]*' || true)
        case $status in
            finished:completed) return ;;
            finished:*) break ;;
        esac
        sleep 1
    done
    fail "The federation did not complete: ${status:-it still runs}"
}

[ -n "${EXAMPLE_VENV:-}" ] || install
export PATH=$venv/bin:$PATH

say 'Running the federation: 4 nodes simulated on this machine'
start_superlink
flwr run "$app" --stream --run-config "${RUN_CONFIG:-}" \
    --federation-config 'num-supernodes=4 init-args-num-cpus=2 client-resources-num-cpus=1'
check_completed

say "flwr-registry list $model"
flwr-registry list "$model"
say "flwr-registry lineage $model@latest"
flwr-registry lineage "$model@latest"
# What the shell needs that wants to ask more, for whoever reads the line below.
activate=$FLWR_HOME/activate
{
    printf 'export FLWR_HOME=%q\nexport PATH=%q:$PATH\n' "$FLWR_HOME" "$venv/bin"
    # The environment is complete, and the SuperLink that `flwr run` starts would look for it elsewhere.
    printf 'export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1\n'
} >"$activate"
# The path as the README gives it, where it is right.
case $activate in
    "$PWD"/*) activate=${activate#"$PWD"/} ;;
esac
printf '\nTo ask more, copy this line into your shell:\n. %q\n' "$activate"
