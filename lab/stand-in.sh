#!/bin/sh
# Stands in for curl, aws, dnf and sha256sum while the user data of a client instance of the lab runs: nothing is fetched and no
# package is installed, the lab gives what it has. What that is, or what is left out, is noted.
set -eu

note() { printf '%s\n' "$*" >>"$KGEN_LAB_DIR/notes"; }

# real NAME ARG…: the program itself, which is further down on the PATH.
real() {
  PATH=${PATH#*:}
  exec "$@"
}

# give_kgen SOURCE FILE
give_kgen() {
  cp "$KGEN_LAB_DIR/kgen" "$2"
  note "kgen is the lab's own, not $1"
}

# give_kafka URL FILE: an archive of the form that the URL's has.
give_kafka() {
  name=$(basename "$1" .tgz)
  work=$(mktemp -d)
  mkdir "$work/$name"
  cp -R "$KGEN_LAB_TOOLS" "$work/$name/bin"
  tar -C "$work" -czf "$KGEN_LAB_DIR/$name.tgz" "$name"
  rm -rf "$work"
  cp "$KGEN_LAB_DIR/$name.tgz" "$2"
  note "/opt/kafka has the lab's tools of Kafka $KGEN_LAB_KAFKA, not $1"
}

case ${0##*/} in
  curl)
    output='' url='' head=''
    while [ $# -gt 0 ]; do
      case $1 in
        --output) output=$2 && shift ;;
        --max-time | --retry | --retry-delay) shift ;;
        --head) head=1 ;;
        -*) ;;
        *) url=$1 ;;
      esac
      shift
    done
    [ -z "$head" ] || { note "$url is not waited for" && exit 0; }
    case $url in
      */kafka_*.tgz) give_kafka "$url" "$output" ;;
      */kafka_*.tgz.sha512)
        archive=$(basename "$url" .sha512)
        # In the form of Apache's sums.
        printf '%s: %s\n' "$archive" "$(sha512sum <"$KGEN_LAB_DIR/$archive" | cut -d ' ' -f 1)" >"$output"
        ;;
      *)
        case $output in
          */kgen) give_kgen "$url" "$output" ;;
          *) note "$url is not fetched" && echo "curl: the lab has nothing for $url" >&2 && exit 22 ;;
        esac
        ;;
    esac
    ;;
  aws)
    for last; do :; done
    case "${1:-} ${2:-} ${last:-}" in
      's3 cp '*/kgen)
        for source; do case $source in s3://*) break ;; esac; done
        give_kgen "$source" "$last"
        ;;
      *) real aws "$@" ;;
    esac
    ;;
  dnf)
    packages=''
    for word; do
      case $word in -* | install) ;; *) packages="$packages $word" ;; esac
    done
    note "packages are not installed:$packages (what of them this machine has is used)"
    ;;
  sha256sum)
    [ "${1:-}" = --check ] || real sha256sum "$@"
    sums=$(cat)
    if cmp -s "${sums#*  }" "$KGEN_LAB_DIR/kgen"; then
      note "the SHA-256 of kgen is not checked"
    else
      printf '%s\n' "$sums" | real sha256sum "$@"
    fi
    ;;
esac
