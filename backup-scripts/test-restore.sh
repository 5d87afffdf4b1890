#!/usr/bin/env bash
# The runbook's trial restore: into a server of its own, as chitlaq_test, and every table compared.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 FILE, such as /opt/backups/chitlaq/latest_backup.sql" >&2; exit 2; }
exec "$(dirname "$0")/../.venv/bin/chitlaq" backup drill --database chitlaq_test "$@"
