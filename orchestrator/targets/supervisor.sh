#!/bin/sh
# Claims the name of a run, runs its command, leaves its exit code. POSIX sh with flock, mv, setsid and sleep.
#
#   sh supervisor.sh NAME TOKEN INCOMING LOCK FENCE RUNS DIRECTORY CGROUP [UNTIL]
#
# INCOMING/NAME holds what the caller wrote (script, env, output) and becomes RUNS/NAME by one rename.
# LOCK is the lock of the fence, held from before that rename until the exit code is there. RUNS/.FENCE is the
# greatest token the fence has seen, and the run that holds the lock; it changes by a rename before the run's own.
# A poller therefore never sees a run without its living supervisor.
# CGROUP, which may be empty, is entered first. UNTIL is when the caller's lease ends, in hundredths of a second of
# /proc/uptime: the caller may have slept since it looked, and somebody else may have gone on elsewhere.
# Says on stdout: started | exists | stale SEEN | busy HOLDER | late; anything else is the reason why it could not.
#
# All of it is functions: the shell has read the whole file before it runs any of it, so an upgrade that replaces
# the file leaves living supervisors alone.

set -u
umask 077

answer() {
    echo "$*"
    exit 0
}

check() {
    [ ! -d "$runs/$name" ] || answer exists
    seen=0 holder=
    [ ! -f "$runs/.$fence" ] || read -r seen holder <"$runs/.$fence"
    [ "$token" -ge "${seen:-0}" ] || answer "stale $seen"
    [ -n "$until" ] || return 0
    read -r up _ </proc/uptime
    [ "${up%.*}${up#*.}" -lt "$until" ] || answer late
}

claim() {
    exec 9>>"$lock"
    tries=0
    until flock -n 9; do
        [ $? -eq 1 ] || exit 1
        check
        [ "$tries" -lt 20 ] || answer "busy $holder"
        tries=$((tries + 1))
        sleep 0.1
    done
    echo $$ >"$incoming/$name/pid" || exit 1
    echo "$token $name" >"$incoming/.$fence" || exit 1
    check
    # One program for both renames, in this order. Into the folder, not onto the names: a run which is there by now
    # (somebody aborted it before it started) makes the rename fail. Unless both succeed, nothing is started.
    mv -f "$incoming/.$fence" "$incoming/$name" "$runs/" || { check; exit 1; }
}

# In the foreground: commands in the background of a script ignore SIGINT and SIGQUIT for ever.
run() (
    exec 9>&- >>"$runs/$name/output" 2>&1
    for setsid in /usr/bin/setsid /bin/setsid setsid; do
        [ ! -x "$setsid" ] || break
    done
    cd -- "$directory" || exit 126
    unset OLDPWD
    . "$runs/$name/env"
    umask 022
    exec "$setsid" /bin/sh "$runs/$name/script"
)

main() {
    name=$1 token=$2 incoming=$3 lock=$4 fence=$5 runs=$6 directory=$7 cgroup=${8-} until=${9-}
    # Handlers, not ignored: what is ignored would be ignored in the command too. PIPE: the caller may be dead.
    trap : HUP INT QUIT PIPE TERM
    [ -z "$cgroup" ] || { echo 0 >"$cgroup/cgroup.procs"; } 2>/dev/null
    claim
    echo started
    exec </dev/null >/dev/null 2>&1
    run
    code=$?
    # Written over what the caller reserved: a full disk must not lose it. Where the folder is gone nobody asks any more.
    until echo "$code" 1<>"$runs/$name/exit.new"; do
        [ -d "$runs/$name" ] || exit 1
        sleep 1
    done
    exec mv -f "$runs/$name/exit.new" "$runs/$name/exit"
}

main "$@"
exit
