# Sourced by the other scripts: changes to the root of the repository, and finds the virtual environment's Python and a usable cargo.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

VENV=.venv
PYTHON=$VENV/bin/python
RUST_WANTED=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
GSTREAMER_WANTED=1.22

# Some CI systems do not set HOME.
export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}

# Prompts would hang without a terminal.
export DEBIAN_FRONTEND=noninteractive
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '%s\n' "$*" >&2; }

# at_least FOUND WANTED: compares versions.
at_least() { [[ -n $1 && $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# Prints the folder of the first cargo that is new enough.
# rustup's folder is on PATH only in a login shell, and an old cargo may come first on PATH.
find_rust() {
    local folder
    for folder in "$(dirname "$(command -v cargo || echo /nowhere/cargo)")" "$HOME/.cargo/bin" /usr/bin; do
        [[ -x $folder/cargo ]] || continue
        if at_least "$("$folder/cargo" --version 2>/dev/null | cut -d ' ' -f 2)" "$RUST_WANTED"; then
            echo "$folder"
            return
        fi
    done
    return 1
}

have_gstreamer_headers() {
    command -v cc >/dev/null && pkg-config --exists \
        "gstreamer-1.0 >= $GSTREAMER_WANTED" "gstreamer-base-1.0 >= $GSTREAMER_WANTED" \
        "gstreamer-video-1.0 >= $GSTREAMER_WANTED" 2>/dev/null
}

# Puts a usable cargo first on PATH. Succeeds if the plugin can be built.
use_rust() {
    local folder
    folder=$(find_rust) || return 1
    [[ $(command -v cargo) == "$folder/cargo" ]] || PATH=$folder:$PATH
    have_gstreamer_headers
}

# Writes the Rust reference, in which every link must lead somewhere.
document_rust() { RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --workspace --all-features --lib; }
