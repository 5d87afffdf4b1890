#!/usr/bin/env bash
# Restore a backup into a scratch server as chitlaq_test, and compare every table.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 FILE, such as /opt/backups/chitlaq/latest_backup.sql" >&2; exit 2; }
exec "$(dirname "$0")/../.venv/bin/chitlaq" backup drill --database chitlaq_test "$@"
