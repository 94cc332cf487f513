#!/bin/bash
# Stands in for terraform in the tests of src/change. What it says and does lies beside its working directory in stub/, so
# that this file is never written while another test starts it.
stub=../stub
echo "$1" >> "$stub/calls"
case "$1" in
plan)
    [ -e "$stub/plan.sh" ] && . "$stub/plan.sh"
    for argument in "$@"; do
        case "$argument" in -out=*) echo "a plan" > "${argument#-out=}" ;; esac
    done
    # There is something to do until it is applied.
    [ -e "$stub/applied" ] && exit 0
    exit 2
    ;;
show)
    if [ -e "$stub/applied" ]; then echo '{"complete": true}'; else cat "$stub/plan.json"; fi
    ;;
apply)
    . "$stub/apply.sh"
    ;;
output)
    echo '{}'
    ;;
esac
