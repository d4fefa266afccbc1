#!/bin/sh
# Starts Redis with the rules of users.acl and the password of the mounted Secret in place of `nopass`. Redis gets
# its SHA-256 alone, in a file in memory: the password stands in no argument, no environment and no other file.
set -eu

# Without the line ends at its end, of either kind: the service leaves them out, too.
ends=$(printf '\r\n.')
ends=${ends%.}
password=$(cat /etc/redis-auth/password)
while :; do
    case $password in
    *["$ends"]) password=${password%?} ;;
    *) break ;;
    esac
done
if [ -z "$password" ]; then
    echo "start.sh: the password in Secret redis-auth is empty" >&2
    exit 1
fi
hash=$(printf %s "$password" | sha256sum)
unset password

rules=$(cat /etc/redis/users.acl)
case $rules in
*' nopass '*) ;;
*)
    echo "start.sh: users.acl has no nopass to put the password in place of" >&2
    exit 1
    ;;
esac
printf '%s #%s %s\n' "${rules%% nopass *}" "${hash%% *}" "${rules#* nopass }" >/run/redis/users.acl

exec redis-server /etc/redis/redis.conf --aclfile /run/redis/users.acl
