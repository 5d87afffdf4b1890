#!/usr/bin/env bash
# Verify that a backup is unchanged, byte by byte.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 FILE, such as /opt/backups/chitlaq/latest_backup.sql" >&2; exit 2; }
exec "$(dirname "$0")/../.venv/bin/chitlaq" backup verify "$@"
