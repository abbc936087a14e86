#!/usr/bin/env bash
# The real Claude CLI for tests: installs the pinned version with npm, once, into the cache.
#
#   claude_cli.sh path            prints where it is
#   claude_cli.sh run PROGRAM...  runs a test program that finds it in CAPSTAN_CLAUDE
#
# Ends with 77, which ctest takes as skipped, only where there is no npm.
set -euo pipefail

VERSION=2.1.328
FOLDER=${CAPSTAN_CACHE_DIR:-$HOME/.cache/capstan}/claude/$VERSION
CLAUDE=$FOLDER/node_modules/.bin/claude

install_claude() {
  mkdir -p "$FOLDER"
  exec 9> "$FOLDER/lock"
  flock 9
  [ -x "$CLAUDE" ] || npm install --prefix "$FOLDER" --no-audit --no-fund --loglevel=error \
    "@anthropic-ai/claude-code@$VERSION" >&2
  exec 9>&-
}

if [ ! -x "$CLAUDE" ]; then
  if ! command -v npm > /dev/null; then
    echo "skipped: npm is missing, so the real Claude CLI cannot be installed (apt-get install npm)" >&2
    exit 77
  fi
  install_claude
fi
case ${1:-} in
  path) printf '%s\n' "$CLAUDE" ;;
  run) shift; CAPSTAN_CLAUDE=$CLAUDE exec "$@" ;;
  *) echo "usage: claude_cli.sh path | run PROGRAM..." >&2; exit 2 ;;
esac
