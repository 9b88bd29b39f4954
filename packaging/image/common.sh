# shellcheck shell=bash
# Shared by the scripts of the reference image: where things are kept, and which Debian mirror to ask.
set -euo pipefail
export LC_ALL=C SOURCE_DATE_EPOCH=1700000000 PATH=$PATH:/usr/sbin:/sbin

# shellcheck disable=SC2034 # used by the scripts that read this one
image_dir=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
suite=trixie

# Survives the clone: what is kept is named by the content it was made from.
cache_dir() {
  if [ -n "${TANDEM_CACHE:-}" ]; then echo "$TANDEM_CACHE"
  elif [ "$(id -u)" = 0 ]; then echo /var/cache/tandem
  else echo "${XDG_CACHE_HOME:-$HOME/.cache}/tandem"
  fi
}

# key TEXT-OR-FILE...: 16 digits that change with any of them.
key() {
  local one
  for one; do if [ -f "$one" ]; then cat "$one"; else echo "$one"; fi; done | sha256sum | cut -c1-16
}

# The mirror this machine's own apt uses for Debian proper.
debian_mirror() {
  local found
  # shellcheck disable=SC2016 # apt's own variable
  found=$(apt-get indextargets --format '$(REPO_URI)' | grep -E '/debian/?$' | head -n1) || true
  [ -n "$found" ] || { echo 'no Debian mirror among the sources of apt: run this on Debian' >&2; return 1; }
  echo "${found%/}"
}

# unpack_debs DIR PACKAGES: fetches the packages with everything they depend on and unpacks them, running none of their scripts.
unpack_debs() {
  mmdebstrap --quiet --variant=extract --mode=root --format=directory --skip=check/empty \
    --aptopt='APT::Install-Recommends "false"' --include="$2" "$suite" "$1" "deb $(debian_mirror) $suite main"
}

# make_once KIND KEY FUNCTION: runs FUNCTION in a new folder unless the folder exists already; prints its path.
# The rename at the end is what makes a half-made folder impossible; the lock keeps two runs from doing the work twice.
make_once() {
  local dir work
  dir=$(cache_dir)/$1-$2
  mkdir -p "$(cache_dir)"
  exec 9>"$(cache_dir)/$1.lock"
  flock 9
  if [ ! -d "$dir" ]; then
    echo "Preparing $1 (kept in $dir) ..." >&2
    work=$(mktemp -d "$(cache_dir)/.$1-XXXXXX")
    # In the background, because "set -e" sleeps inside a command that is itself being tested.
    (cd "$work" && "$3") >&2 &
    wait $! || { rm -rf "$work"; return 1; }
    chmod 755 "$work"
    mv "$work" "$dir"
  fi
  flock -u 9
  echo "$dir"
}

needs_root() {
  [ "$(id -u)" = 0 ] || { echo "$1 has to be made by root (it unpacks a system with its owners)." >&2; exit 1; }
}
