# Sourced by scripts that need a root file system of another Debian release. They run as root, in a mount namespace of their own.
# shellcheck shell=bash

# make_root SUITE FOLDER: creates a minimal root file system, unless it exists.
make_root() {
    local suite=$1 root=$2
    [[ -e $root/.complete ]] && return
    say "$(basename "$0"): creating $root"
    rm -rf "$root"
    mkdir -p "$(dirname "$root")"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" http://deb.debian.org/debian >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        return 1
    }
    touch "$root/.complete"
}

inside() { chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${@:2}"; }

# Copies the host's name server settings and certificates, and mounts system folders.
connect() {
    cp --dereference /etc/resolv.conf /etc/hosts "$1/etc/"
    [[ ! -e /etc/ssl/certs/ca-certificates.crt ]] || cp --dereference /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
    mount -t proc proc "$1/proc"
    mount -t sysfs sysfs "$1/sys"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
}

# install_debian ROOT PACKAGE...
install_debian() {
    local root=$1
    shift
    # An outdated mirror is good enough for a temporary root file system.
    inside "$root" apt-get -qq -o Acquire::Check-Valid-Until=false update
    inside "$root" DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install --yes --no-install-recommends \
        "$@" >"$root.apt.log" 2>&1 || {
        tail -n 20 "$root.apt.log" >&2
        return 1
    }
}

# install_python ROOT: creates /venv with the packages that the wheel in /checkout and its tests need, without the wheel itself.
install_python() {
    rm -rf "$1/venv"
    inside "$1" python3 -m venv --system-site-packages /venv
    inside "$1" SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
        sh -c "cd /checkout && /venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
        /venv/bin/python -m pip install --quiet --group dev \$(ls ./*.whl)[record] && \
        /venv/bin/python -m pip uninstall --quiet --yes iox2-video"
}

# copy_checkout FOLDER: copies the wheel and the repository's files, without the source tree's package.
copy_checkout() {
    rm -rf "$1"
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --no-dereference --target-directory "$1" 2>/dev/null || true
    cp dist/*.whl "$1/"
    rm -rf "$1/python"
}
