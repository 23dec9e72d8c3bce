#!/bin/sh
# Puts the files of a release where its target has them: unpacked in releases/VERSION, with `current` leading there.
# POSIX sh with tar, gzip, sha256sum, flock, od and `mv -T`, as coreutils or busybox have them.
#
# In its environment: FILES_DIRECTORY, FILES_KEEP, RELEASE_VERSION, RELEASE_ARTIFACT_SHA256. Who started the run has brought the
# artifact into artifacts/ beside runs/, unless the release was unpacked already.
#
# releases/.VERSION.sha256 says what releases/VERSION was unpacked from, and by its age when it was `current` last.

set -u
base=$FILES_DIRECTORY releases=$FILES_DIRECTORY/releases
version=$RELEASE_VERSION sum=$RELEASE_ARTIFACT_SHA256
artifact=${0%/runs/*}/artifacts/$sum

fail() {
    echo "$*" >&2
    exit 1
}

unpack() {
    [ ! -e "$releases/$version" ] ||
        fail "$releases/$version is there and was not unpacked from the artifact of this release: move it away"
    [ -f "$artifact" ] || fail "the artifact is not there any more: try again"
    found=$(sha256sum <"$artifact") || fail "sha256sum does not run here"
    [ "${found%% *}" = "$sum" ] || { rm -f "$artifact"; fail "the artifact was changed on its disk: try again"; }
    new=$releases/.new.$version
    mkdir "$new" || fail "nothing can be written in $releases"
    case $(head -c 2 "$artifact" | od -An -tx1 | tr -d ' ') in
    1f8b) flags=-xzof ;;
    *) flags=-xof ;;
    esac
    tar -C "$new" "$flags" "$artifact" || fail "the artifact cannot be unpacked"
    # First what it is, then that it is there: no folder of a release is without the word of what is in it.
    echo "$sum" >"$releases/.$version.sha256" && mv -T "$new" "$releases/$version" || fail "nothing can be written in $releases"
    echo "unpacked $version"
}

switch() {
    [ -L "$base/current" ] || [ ! -e "$base/current" ] || fail "$base/current is there and no link: move it away"
    before=$(readlink "$base/current")
    [ "$before" != "releases/$version" ] || { echo "current is $version already"; return; }
    rm -f "$base/.current.new"
    ln -s "releases/$version" "$base/.current.new" && mv -fT "$base/.current.new" "$base/current" ||
        fail "$base/current cannot be switched"
    before=${before#releases/}
    echo "current is $version, and was ${before:-nothing}"
}

# Those that were `current` last stay. What nobody recorded is nobody's to remove.
forget() {
    touch "$releases/.$version.sha256"
    kept=0
    ls -t "$releases"/.*.sha256 | while read -r each; do
        old=${each##*/.} old=${old%.sha256}
        kept=$((kept + 1))
        [ "$kept" -gt "$FILES_KEEP" ] && [ "$old" != "$version" ] || continue
        mv -T "$releases/$old" "$releases/.old.$old" 2>/dev/null
        rm -rf "$each" "$releases/.old.$old"
        echo "removed $old"
    done
}

mkdir -p "$releases" || fail "the folder $releases cannot be made"
exec 9>>"$releases/.lock" || fail "nothing can be written in $releases"
flock 9 || fail "flock does not run here"
# Folders only: `.new.1.sha256` is the word of a release that is called new.1.
rm -rf "$releases"/.new.*/ "$releases"/.old.*/
[ -d "$releases/$version" ] && [ "$(cat "$releases/.$version.sha256" 2>/dev/null)" = "$sum" ] || unpack
switch
forget
