#!/usr/bin/env bash
# A Rust that builds transforms (wasm32-unknown-unknown), made of Debian 12's packages.
#
#   eval "$(plugins/toolchain.sh FOLDER)"
#   cargo build --release --target wasm32-unknown-unknown --manifest-path plugins/clean-flights/Cargo.toml
#
# With rustup this is not needed: `rustup target add wasm32-unknown-unknown` is all. It is for machines that have a
# cargo but no way to rustup's servers, as in continuous integration: Debian ships a recent rustc (`rustc-web`) and the
# sources of its standard library, from which the library for WASM is built, once.
#
# Nothing is installed and no root is needed: packages are downloaded by apt, which verifies them, with lists of its
# own, and unpacked below FOLDER. All that lies there may be deleted at any time. A second run finds the first one's
# work, needs no network and only prints; runs at the same time wait for each other.
#
# stdout: exports for the shell. stderr: what is being done. Takes about 120 MB of downloads, a minute or two, and
# 0.5 GB of disk.
#
#   LAKE_DEBIAN_MIRROR   where Debian lies, http://deb.debian.org by default
set -euo pipefail

# What is made: raise it when this script makes something else.
readonly VERSION=1
readonly TARGET=wasm32-unknown-unknown
readonly SUITE=bookworm
readonly KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
readonly MIRROR=${LAKE_DEBIAN_MIRROR:-http://deb.debian.org}
# Every machine that runs cargo has these.
readonly PRESENT='libc6 libgcc-s1 gcc-12-base libstdc++6 libcrypt1'
# The oldest cargo that knows edition 2024.
readonly CARGO_MINOR=85

say() { printf 'toolchain: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

[ $# -eq 1 ] || fail "usage: $0 FOLDER"
mkdir -p "$1"
readonly FOLDER=$(cd "$1" && pwd)
readonly HOME_OF_RUST=$FOLDER/rust-$VERSION

# --- packages ---------------------------------------------------------------------------------------------------------

apt_options() {
    printf '%s\n' -qq -o Dir::Etc::SourceList="$WORK/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$WORK/apt/state" -o Dir::State::status="$WORK/apt/status" -o Dir::Cache="$WORK/apt/cache" \
        -o APT::Sandbox::User= -o Acquire::Retries=3 -o Acquire::Languages=none
}

refresh_lists() {
    mkdir -p "$WORK"/apt/{state/lists/partial,cache/archives/partial}
    : >"$WORK/apt/status"
    cat >"$WORK/apt/sources.list" <<LISTS
deb [signed-by=$KEYS] $MIRROR/debian $SUITE main
deb [signed-by=$KEYS] $MIRROR/debian-security $SUITE-security main
LISTS
    mapfile -t APT < <(apt_options)
    apt-get "${APT[@]}" update >&2
}

# The packages and all that they cannot do without, less what is on every machine.
with_dependencies() {
    apt-cache "${APT[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "$@" | grep '^[a-z0-9]' | sort -u | grep -vxF "$(tr ' ' '\n' <<<"$PRESENT")"
}

# What depends on the version of Rust, asked of the packages themselves.
library_of_compiler() {
    apt-cache "${APT[@]}" depends --important libstd-rust-web-dev | sed -n 's/^ *Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p'
}
llvm_of_compiler() {
    apt-cache "${APT[@]}" depends --important "$1" | sed -n 's/^ *Depends: libllvm\([0-9]*\)$/\1/p'
}

download_and_unpack() {
    mkdir -p "$WORK/debs" "$WORK/root"
    (cd "$WORK/debs" && apt-get "${APT[@]}" download "$@" >&2)
    local deb
    for deb in "$WORK"/debs/*.deb; do
        case $(basename "$deb") in
            # A third of a gigabyte, of which the library is a tenth.
            rust-web-src_*) dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$WORK/root" --wildcards './usr/src/rustc-*/library' ;;
            *) dpkg-deb -x "$deb" "$WORK/root" ;;
        esac
        rm "$deb"
    done
}

# --- what the machine has ---------------------------------------------------------------------------------------------

has_cargo() {
    local minor
    minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge $CARGO_MINOR ]
}

# rustup's own linker; the packages' where there is none.
rustup_linker() {
    local sysroot linker
    sysroot=$(rustc --print sysroot 2>/dev/null) || return 1
    linker=$(find "$sysroot/lib/rustlib" -path '*/bin/rust-lld' 2>/dev/null | head -n 1)
    [ -x "$linker" ] && "$linker" -flavor wasm --version >/dev/null 2>&1 && printf '%s\n' "$linker"
}

# --- the toolchain ----------------------------------------------------------------------------------------------------

# A program that finds the unpacked libraries, wherever the folder is.
wrapper() {
    local name=$1
    shift
    mkdir -p "$WORK/bin"
    cat >"$WORK/bin/$name" <<WRAPPER
#!/bin/sh
home=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
LD_LIBRARY_PATH="\$home/root/usr/lib/$MULTIARCH:\$home/root/lib/$MULTIARCH\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
exec $* "\$@"
WRAPPER
    chmod +x "$WORK/bin/$name"
}

# The sources bring the crates that the library needs: no registry is asked.
build_std() {
    local library build=$WORK/std
    library=$(echo "$WORK"/root/usr/src/rustc-*/library)
    mkdir -p "$WORK/sysroot/lib/rustlib/$TARGET/lib" "$WORK/sysroot/lib/rustlib/src/rust" "$build/src"
    ln -s "../../../root/usr/lib/rustlib/$HOST" "$WORK/sysroot/lib/rustlib/$HOST"
    ln -s "$library" "$WORK/sysroot/lib/rustlib/src/rust/library"
    printf '[package]\nname = "nothing"\nedition = "2021"\n[workspace]\n' >"$build/Cargo.toml"
    printf '#![no_std]\n' >"$build/src/lib.rs"
    # No panic of a transform is to name a folder of this machine.
    local flags="--remap-path-prefix=$WORK/sysroot/lib/rustlib/src/rust/library=/rust/library"
    flags+=" --remap-path-prefix=$library=/rust/library"
    # Unstable features are for this build alone; transforms are built without.
    (
        cd "$build"
        env -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER CARGO_TARGET_DIR="$build/target" CARGO_HOME="$build/home" \
            RUSTC="$WORK/bin/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" CARGO_PROFILE_RELEASE_DEBUG=0 \
            "$CARGO" build --release --quiet --offline --target $TARGET -Zbuild-std=std,panic_abort \
            --config 'source.crates-io.replace-with="vendored"' \
            --config "source.vendored.directory='$library/vendor'" >&2
    )
    find "$build/target/$TARGET/release" -name 'lib*.rlib' ! -name 'libnothing*' \
        -exec cp -t "$WORK/sysroot/lib/rustlib/$TARGET/lib" {} +
    [ -n "$(find "$WORK/sysroot/lib/rustlib/$TARGET/lib" -name 'libstd-*.rlib')" ] || fail "the standard library was not built"
    rm -r "$build" "$WORK/sysroot/lib/rustlib/src" "$WORK/root/usr/src"
}

make() {
    local program
    for program in apt-get apt-cache dpkg-deb tar cc; do
        command -v $program >/dev/null || fail "needs $program: this is for Debian 12; elsewhere, rustup target add $TARGET"
    done
    [ -f $KEYS ] || fail "needs $KEYS (package debian-archive-keyring)"

    WORK=$FOLDER/making
    rm -rf "$WORK"
    mkdir -p "$WORK"
    say "reading Debian's lists"
    refresh_lists
    local compiler llvm
    compiler=$(library_of_compiler)
    [ -n "$compiler" ] || fail "Debian's lists name no rustc-web"
    llvm=$(llvm_of_compiler "$compiler")
    local packages=(rustc-web libstd-rust-web-dev rust-web-src)
    local libraries=("$compiler")
    if ! rustup_linker >/dev/null; then
        packages+=("lld-$llvm")
        libraries+=("lld-$llvm")
    fi
    if ! has_cargo; then
        packages+=(cargo-web)
        libraries+=(libcurl4 libgit2-1.5 libsqlite3-0 libssh2-1 libssl3)
    fi
    local needed
    mapfile -t needed < <(with_dependencies "${libraries[@]}")
    say "downloading and unpacking ${packages[*]} and what they need"
    download_and_unpack "${packages[@]}" "${needed[@]}"

    MULTIARCH=$(basename "$(dirname "$(echo "$WORK"/root/usr/lib/*/librustc_driver-*.so)")")
    HOST=$(basename "$(dirname "$(dirname "$(ls "$WORK"/root/usr/lib/rustlib/*/lib/libstd-*.rlib | head -n 1)")")")
    wrapper rustc '"$home/root/usr/bin/rustc" --sysroot "$home/sysroot"'
    CARGO=cargo
    if [ -e "$WORK/root/usr/bin/cargo" ]; then
        wrapper cargo '"$home/root/usr/bin/cargo"'
        CARGO=$WORK/bin/cargo
    fi
    if [ -n "$(ls "$WORK"/root/usr/bin/wasm-ld-* 2>/dev/null)" ]; then
        wrapper wasm-ld "\"\$home/root/usr/bin/wasm-ld-$llvm\""
    fi
    say "building the standard library of $("$WORK/bin/rustc" --version)"
    build_std

    rm -rf "$WORK"/{apt,debs} "$WORK/root/usr/share/doc"
    rm -rf "$HOME_OF_RUST"
    mv "$WORK" "$HOME_OF_RUST"
    say "made in $SECONDS s, $(du -sh "$HOME_OF_RUST" | cut -f 1)"
}

exec 9>"$FOLDER/.lock"
flock 9
[ -d "$HOME_OF_RUST" ] || make

linker=$HOME_OF_RUST/bin/wasm-ld
[ -x "$linker" ] || linker=$(rustup_linker) || fail "the linker that was there is gone: delete $HOME_OF_RUST and try again"
printf 'export RUSTC=%q\n' "$HOME_OF_RUST/bin/rustc"
printf 'export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=%q\n' "$linker"
if [ -x "$HOME_OF_RUST/bin/cargo" ]; then
    printf 'export PATH=%q:"$PATH"\n' "$HOME_OF_RUST/bin"
fi
