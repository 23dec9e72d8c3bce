#!/bin/sh
# The first program of a run in its container: runs the command once, and leaves its exit code. POSIX sh with mkdir, mv and rm.
#
# /.release-manager holds what the worker put there: `script`, in `env` what it is given, and in `until` when the worker's
# lease ends, in hundredths of a second of /proc/uptime; the worker may have slept since it looked. Whoever polls finds:
#   begun    the run has begun. A container can be started again by anybody, the run in it cannot
#   output   all that the command wrote
#   exit     its exit code, by rename; a container that has ended without it was ended by somebody else

set -u

# In the foreground: commands in the background of a script ignore SIGINT and SIGQUIT for ever.
run() (
    exec >>/.release-manager/output 2>&1
    unset TINI_KILL_PROCESS_GROUP
    . /.release-manager/env
    rm -f /.release-manager/env
    exec sh /.release-manager/script
)

main() {
    read -r until </.release-manager/until
    if [ -n "$until" ]; then
        read -r up _ </proc/uptime
        [ "${up%.*}${up#*.}" -lt "$until" ] || exit 1
    fi
    mkdir /.release-manager/begun || exit 1
    # Handlers, not ignored: what is ignored would be ignored in the command too.
    trap : HUP INT QUIT PIPE TERM
    run
    code=$?
    echo "$code" >/.release-manager/exit.new && exec mv -f /.release-manager/exit.new /.release-manager/exit
}

main
exit
