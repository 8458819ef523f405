#!/usr/bin/env bash
# Makes an environment, runs the federation, and shows the versions that it registered.
exec bash "$(dirname "$0")/../run_app.sh" legacy digits
