#!/bin/sh
# Makes .venv with the given Python. Bare Debian ships Python without the part that makes environments: then that
# package is installed, or the command that installs it is named.
set -eu
python=$1

command -v "$python" >/dev/null 2>&1 || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Python 3.11 or newer is needed; name one with: make setup PYTHON=/path/to/python3" >&2
    exit 2
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "this Python cannot make virtual environments; run: sudo apt-get install $version" >&2
        exit 2
    fi
    { apt-get update && apt-get install --yes --no-install-recommends "$version"; } >/dev/null
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv
