#!/usr/bin/env bash
# The runbook's monthly benchmark: a bounded load on the running system, compared with earlier runs.
set -euo pipefail
exec "$(dirname "$0")/../.venv/bin/chitlaq" bench --here "$@"
