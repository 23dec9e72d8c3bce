#!/bin/sh
# What a worker asks of a host about one run. POSIX sh with the small tools of coreutils or busybox, flock and /proc.
#
#   sh remote.sh NONCE ROOT ORIGIN start NAME FENCE TOKEN MARK BYTES SCRIPT_BYTES DIRECTORY MOST    stdin: script, env
#   sh remote.sh NONCE ROOT ORIGIN poll  NAME FENCE OFFSET MOST
#   sh remote.sh NONCE ROOT ORIGIN abort NAME FENCE TOKEN GRACE                          in 1/100 s
#   sh remote.sh NONCE ROOT ORIGIN take  NAME FENCE SUM VERSION FOLDER SIZE OFFSET BYTES    stdin: a piece; none: only asks
#
# Says one line on stdout, behind NONCE because login scripts may talk too, and after it a run's output, byte for byte:
#   start: exists | stale SEEN | busy HOLDER | cut | started, or what poll says of it by then
#   poll: absent | running BYTES | exited CODE BYTES | lost WHY
#   abort: done | stale SEEN                               take: whole | part HAVE | busy HOLDER | cut | wrong
#   any: failed WHY
# ROOT/ORIGIN holds runs/, locks/ and incoming/ as on a worker's node, for each installation its own. The worker may be gone before the answer is.

set -u
umask 077
trap : HUP PIPE
variable=DEPLOYMENT_RUN_ID
begun=

say() {
    printf '%s %s\n' "$nonce" "$*"
}

# A run that has begun is not called failed by what fails after it.
fail() {
    say "${begun:-failed $*}"
    exit 0
}

# All that comes, into a file; or why the host does not take it: that is no lost connection.
receive() {
    said=$(cat 2>&1 >"$1") || { echo "${said##*: }"; return 1; }
}

look_at_time() {
    read -r up _ </proc/uptime
    now=${up%.*}${up#*.}
}

read_token() {
    seen=0 holder=
    [ ! -f "$runs/.$fence" ] || read -r seen holder <"$runs/.$fence"
}

start() {
    token=$1 mark=$2 bytes=$3 script_bytes=$4 directory=$5 most=$6
    [ ! -d "$folder" ] || { say exists; return; }
    incoming=$root/incoming/$mark
    new=$incoming/$name
    mkdir -p "$runs" "$root/locks" "$new/work" || fail "the run cannot be written down in $root"
    payload=$incoming/.payload
    why=$(receive "$payload") || { rm -rf "$incoming"; fail "the run cannot be written down in $root: $why"; }
    # A connection that was lost in the middle looks like the end of the input.
    [ "$(wc -c <"$payload")" -eq "$bytes" ] || { rm -rf "$incoming"; say cut; return; }
    read -r boot </proc/sys/kernel/random/boot_id
    {
        head -c "$script_bytes" "$payload" >"$new/script" &&
            tail -c "+$((script_bytes + 1))" "$payload" >"$new/env" &&
            printf '%s\n' "$mark" "$boot" >"$new/mark" &&
            printf '%s\n' "$fence" >"$new/fence" &&
            printf '    \n' >"$new/exit.new" &&
            : >"$new/output" &&
            rm "$payload"
    } || { rm -rf "$incoming"; fail "the run cannot be written down in $root"; }
    set -- "$name" "$token" "$incoming" "$lock" "$fence" "$runs" "${directory:-$folder/work}" ""
    # Two setsid, not '&': the first makes the second the leader of a group, so that it forks; what a shell starts in the
    # background would ignore SIGINT and SIGQUIT for ever. The answer ends when the supervisor closes its output.
    answer=$(env -i PATH="$PATH" HOME="${HOME:-/}" LANG=C.UTF-8 DEPLOYMENT_RUN="$name" "$variable=$mark" \
        setsid setsid sh "$here/supervisor.sh" "$@" </dev/null 2>&1)
    rm -rf "$incoming"
    last=$(printf '%s\n' "$answer" | tail -n 1)
    case $last in
    started)
        begun=started
        forget
        linger
        poll 0 "$most"
        ;;
    exists | stale\ * | busy | busy\ *) say "$last" ;;
    *) [ -d "$folder" ] && say exists || fail "the run was not claimed: ${last:-its supervisor died}" ;;
    esac
}

# A command that is quick has ended by the first answer: the lock is free when its exit code is there.
linger() {
    flock -s -w 0.2 9
} 9<"$lock" 2>/dev/null

# What this fence ran a week ago and longer. A newer run of it began, so the orchestrator knows how those ended.
forget() {
    find "$root/artifacts" -type f -mtime +0 -exec rm -f {} + 2>/dev/null
    find "$runs" "$root/incoming" -mindepth 1 -maxdepth 1 -type d -mtime +7 2>/dev/null | while read -r old; do
        case $old in
        "$root/incoming/"*) rm -rf "$old" ;;
        *)
            [ -f "$old/exit" ] && [ "$(cat "$old/fence" 2>/dev/null)" = "$fence" ] || continue
            mv "$old" "$root/incoming/old-$nonce" && rm -rf "$root/incoming/old-$nonce"
            ;;
        esac
    done
}

poll() {
    offset=$1 most=$2
    read_verdict
    if [ -z "$verdict" ]; then
        [ -d "$folder" ] || { say absent; return; }
        supervised || { read_verdict; [ -n "$verdict" ] || bury; }
    fi
    size=$(size_of_output) || fail "the output of $name cannot be read"
    bytes=$((size > offset ? size - offset : 0))
    more=$((bytes > most))
    [ "$more" -eq 0 ] || bytes=$most
    case ${verdict:-running}$more in
    running* | *1) say "running $bytes" ;;
    lost*) [ "$bytes" -eq 0 ] && say "lost $why" || say "running $bytes" ;;
    *) say "exited $verdict $bytes" ;;
    esac
    [ -z "$verdict" ] || [ "$more" -eq 1 ] || rm -f "$folder/env"
    [ "$bytes" -eq 0 ] || tail -c "+$((offset + 1))" "$folder/output" | head -c "$bytes"
}

# A verdict without the end of its line is not written yet.
read_verdict() {
    verdict= why=
    [ ! -f "$folder/exit" ] || read -r verdict why <"$folder/exit" || verdict=
}

# Of an ended run it is said once where its output ends: what a success left running may write on for ever.
size_of_output() {
    [ ! -f "$folder/size" ] || { cat "$folder/size"; return; }
    found=$(stat -Lc %s "$folder/output") || return 1
    if [ -n "$verdict" ] && [ "$found" -gt $((offset + most)) ]; then
        settle size "$found"
        cat "$folder/size" 2>/dev/null || echo "$found"
    else
        echo "$found"
    fi
}

# Its supervisor lives: the lock of the fence is held, and in its name.
supervised() {
    [ -f "$lock" ] || return 1
    { flock -s -n 9; } 9<"$lock"
    case $? in
    0) return 1 ;;
    1) read_token; [ "$holder" = "$name" ] ;;
    *) fail "flock is not there, or cannot lock in $root" ;;
    esac
}

# Nobody looks after it any more: end what it left, and only then say that it is lost.
bury() {
    read_mark
    kill_all
    read -r now_boot </proc/sys/kernel/random/boot_id
    why="its supervisor ended without leaving an exit code"
    [ "$boot" = "$now_boot" ] || why="the host was started anew in the middle of it"
    if [ -f "$folder/aborting" ]; then settle exit 143; else settle exit "lost $why"; fi
    read_verdict
}

# Make that what the file says for ever, unless it says something already; on a full disk over the room reserved for it.
settle() {
    fresh=$folder/.settle.$nonce
    printf '%s\n' "$2" >"$fresh" || { mv -f "$folder/exit.new" "$fresh" && printf '%s\n' "${2%% *}" 1<>"$fresh"; }
    ln "$fresh" "$folder/$1"
    rm -f "$fresh"
} 2>/dev/null

abort() {
    token=$1 grace=$2
    read_token
    [ "$token" -ge "${seen:-0}" ] || { say "stale $seen"; return; }
    [ -d "$folder" ] || entomb || [ -d "$folder" ] || fail "the run cannot be ended in $root"
    end "$grace"
    let_others_bring
    record_token
    say done
}

# What it was bringing, others may go on with at once.
let_others_bring() {
    for holding in "$root"/artifacts/.*.holder; do
        holder=
        [ ! -f "$holding" ] || read -r holder _ <"$holding"
        [ "$holder" != "$name" ] || rm -f "$holding"
    done
}

# A run that was never started becomes one that has ended; the rename fails where there is such a run by now.
entomb() {
    new=$root/incoming/$nonce/$name
    mkdir -p "$runs" "$root/locks" "$new" && : >"$new/output" && echo 143 >"$new/exit" &&
        printf '%s\n' "$fence" >"$new/fence" && mv "$new" "$runs/" 2>/dev/null
    moved=$?
    rm -rf "$root/incoming/$nonce"
    return "$moved"
}

end() {
    [ -f "$folder/mark" ] || return 0
    read_mark
    : >"$folder/aborting"
    terminate "$1"
    kill_all
    settle exit 143
    rm -f "$folder/env"
}

# While a run holds the fence, the fence has seen that run's token.
record_token() {
    {
        flock -n 9 || return 0
        read_token
        [ "${seen:-0}" -lt "$token" ] || return 0
        echo "$token $name" >"$root/incoming/.$nonce" && mv -f "$root/incoming/.$nonce" "$runs/.$fence"
    } 9>>"$lock"
}

read_mark() {
    mark= boot= supervisor=0
    { read -r mark; read -r boot; } <"$folder/mark"
    [ ! -f "$folder/pid" ] || read -r supervisor <"$folder/pid"
    [ -n "$mark" ] || fail "the run $name has no mark"
}

# Ids of all processes that bear the mark of the run. The grep of busybox stops at the first NUL.
bearers() {
    if printf 'a\0b' | grep -qF b; then
        grep -lF "$variable=$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
    else
        for each in /proc/[0-9]*; do
            bears "${each#/proc/}" && echo "${each#/proc/}"
        done
    fi
}

bears() {
    { tr '\0' '\n' <"/proc/$1/environ"; } 2>/dev/null | grep -qxF "$variable=$mark"
}

group_of() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    set -- ${stat##*) }
    group=$3
    [ "$group" -gt 1 ]
}

# TERM, once to each process group but the supervisor's, until none is left or the grace is over.
terminate() {
    look_at_time
    until=$((now + $1)) told=" $supervisor "
    while [ "$now" -lt "$until" ]; do
        pids=$(bearers)
        [ -n "$pids" ] || return 0
        for each in $pids; do
            group_of "$each" || continue
            case $told in *" $group "*) continue ;; esac
            told="$told$group "
            kill -s TERM -- "-$group"
        done
        sleep 0.05
        look_at_time
    done
} 2>/dev/null

# The supervisor first, so that it cannot record the kill as the command's own end; then groups, each at one stroke,
# because one that keeps forking would outrun a shell. Until two looks find nothing.
kill_all() {
    look_at_time
    until=$((now + 3000)) clean=0
    while [ "$supervisor" -gt 1 ] && bears "$supervisor"; do
        kill -s KILL "$supervisor"
        look_at_time
        [ "$now" -lt "$until" ] || fail "the supervisor $supervisor does not die"
    done
    while [ "$clean" -lt 2 ]; do
        pids=$(bearers)
        if [ -z "$pids" ]; then
            clean=$((clean + 1))
            sleep 0.02
            continue
        fi
        clean=0
        for each in $pids; do
            group_of "$each" && bears "$each" && kill -s KILL -- "-$group" "$each"
        done
        look_at_time
        [ "$now" -lt "$until" ] || fail "the processes" $pids "do not die"
    done
} 2>/dev/null

# The file of a release, piece by piece into artifacts/.SUM, which becomes artifacts/SUM. A piece is added only when all of it is
# there: whoever waits for the rest of one holds no lock. Others that bring the same wait until its run is silent for 20 s.
take() {
    sum=$1 version=$2 releases=$3/releases size=$4 offset=$5 bytes=$6
    artifacts=$root/artifacts whole=$root/artifacts/$1 part=$root/artifacts/.$1 piece=$root/artifacts/.$nonce
    if [ -d "$releases/$version" ] && [ "$(cat "$releases/.$version.sha256" 2>/dev/null)" = "$sum" ]; then
        say whole
        return
    fi
    mkdir -p "$artifacts" || fail "the artifact cannot be written down in $root"
    if [ "$bytes" -gt 0 ]; then
        why=$(receive "$piece") || { rm -f "$piece"; fail "the artifact cannot be written down in $root: $why"; }
        [ "$(wc -c <"$piece")" -eq "$bytes" ] || { rm -f "$piece"; say cut; return; }
    fi
    said=$(add 9>>"$part.lock")
    rm -f "$piece"
    say "${said:-failed the artifact cannot be written down in $root}"
}

add() {
    flock 9 || { echo "failed flock is not there, or cannot lock in $root"; return; }
    [ ! -f "$whole" ] || { touch "$whole"; echo whole; return; }
    holder= since=0
    [ ! -f "$part.holder" ] || read -r holder since <"$part.holder"
    look_at_time
    if [ "$holder" != "$name" ] && [ -n "$holder" ] && [ "$since" -le "$now" ] && [ $((now - since)) -lt 2000 ]; then
        echo "busy $holder"
        return
    fi
    echo "$name $now" >"$part.holder" || return
    have=0
    [ ! -f "$part" ] || have=$(wc -c <"$part")
    if [ "$bytes" -gt 0 ] && [ "$have" -eq "$offset" ]; then
        cat "$piece" >>"$part" || return
        have=$((have + bytes))
    fi
    if [ "$size" -gt 0 ] && [ "$have" -ge "$size" ]; then
        found=$(sha256sum <"$part") || { echo "failed sha256sum does not run there"; return; }
        rm -f "$part.holder"
        [ "${found%% *}" = "$sum" ] || { rm -f "$part"; echo wrong; return; }
        mv -f "$part" "$whole" && rm -f "$part.lock" && echo whole
        return
    fi
    echo "part $((have))"
}

main() {
    here=$(cd "${0%/*}" && pwd) nonce=$1 root=$2/$3 verb=$4 name=$5 fence=$6
    shift 6
    mkdir -p "$root" || fail "there is no folder $root and none can be made"
    root=$(cd "$root" && pwd) || fail "the folder $root cannot be entered"
    runs=$root/runs folder=$root/runs/$name lock=$root/locks/$fence
    case $verb in
    start | poll | abort | take) "$verb" "$@" ;;
    esac
}

main "$@"
exit 0
