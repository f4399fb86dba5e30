#!/bin/sh
# setup.sh PYTHON VENV: a virtual environment with all pinned dependencies. Installs Debian's python3-venv if
# the interpreter cannot make one; everything else comes from the package index, checked by hash.
set -eu
python=$1
venv=$2

command -v "$python" >/dev/null || python=python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: Python 3.11 or newer is needed; set PYTHON=... to one" >&2
    exit 1
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "setup: installing python3-venv, which Debian packages apart"
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# uv reads the lock in a tenth of pip's time. It has settings of its own: those of pip hold for it, too.
uv=$venv/bin/uv
pip="$venv/bin/python -m pip --disable-pip-version-check"
index=${PIP_INDEX_URL:-$($pip config get global.index-url 2>/dev/null || true)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
echo "setup: installing pinned dependencies into $venv (about a quarter of a minute the first time)"
$pip install --quiet --require-hashes -r requirements-uv.lock
"$uv" pip sync --quiet --compile-bytecode --require-hashes --python "$venv/bin/python" requirements-dev.lock
"$uv" pip install --quiet --no-deps --no-build-isolation --python "$venv/bin/python" --editable .
