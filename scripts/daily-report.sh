#!/usr/bin/env bash
# The runbook's daily report: runs the evening routine, writes the report, says where.
set -euo pipefail
exec "$(dirname "$0")/../.venv/bin/chitlaq" ops report "$@"
