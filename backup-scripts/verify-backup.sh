#!/usr/bin/env bash
# The runbook's look at a backup: whether what was written is still there, byte by byte.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 FILE, such as /opt/backups/chitlaq/latest_backup.sql" >&2; exit 2; }
exec "$(dirname "$0")/../.venv/bin/chitlaq" backup verify "$@"
