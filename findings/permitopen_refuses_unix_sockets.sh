#!/usr/bin/env bash
# An authorized_keys line with permitopen, which lists TCP ports, also refuses every forward to a UNIX socket.
#
# Versions: OpenSSH 9.2p1 (Debian 12). A key with "restrict,port-forwarding" may forward to a UNIX socket on the server; with
# permitopen="127.0.0.1:1" added, sshd refuses the same forward, though sshd(8) speaks of hosts and ports only, and
# no option of authorized_keys lists sockets. permitlisten leaves it alone. So a key that has to reach one socket cannot be
# kept from all TCP ports by its line. Seen:
#   port-forwarding: answered
#   port-forwarding,permitlisten="none.invalid:1": answered
#   port-forwarding,permitopen="127.0.0.1:1": refused
# Needs root on Debian 12, for a package that is unpacked into a temporary folder and an sshd on loopback.
set -euo pipefail

version=1:9.2p1-2+deb12u10
port=28221
here=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$here"
}
trap finish EXIT

cd "$here"
apt-get download -q "openssh-server=$version" "openssh-client=$version" libwrap0=7.6.q-32 >/dev/null 2>&1
for one in ./*.deb; do dpkg -x "$one" root; done
mkdir -p /run/sshd
cp /etc/passwd users
getent passwd sshd >/dev/null || echo 'sshd:x:65530:65534::/run/sshd:/usr/sbin/nologin' >>users
ssh=root/usr/bin/ssh
LD_LIBRARY_PATH=$(dirname "$(find "$here/root" -name libwrap.so.0)")
export LD_LIBRARY_PATH
ssh-keygen -q -t ed25519 -N '' -f hostkey
ssh-keygen -q -t ed25519 -N '' -f key
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 hostkey.pub)" >known_hosts

python3 - "$here/server.sock" <<'PY' &
import socket
import sys

listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
while True:
    peer, _address = listening.accept()
    peer.sendall(b"hello")
    peer.close()
PY
pids+=("$!")

cat >sshd_config <<TEXT
ListenAddress 127.0.0.1
Port $port
HostKey $here/hostkey
AuthorizedKeysFile $here/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile $here/sshd.pid
TEXT

try() {
    local options=$1 answer
    printf '%s %s\n' "$options" "$(cat key.pub)" >authorized_keys
    # The user that sshd wants is there for it alone.
    unshare --mount -- bash -c "mount --bind '$here/users' /etc/passwd; exec '$here/root/usr/sbin/sshd' -D -e -f '$here/sshd_config'" \
        2>>sshd.log &
    local server=$!
    pids+=("$server")
    rm -f client.sock
    for _try in $(seq 10); do
        "$ssh" -F none -N -i key -p "$port" -o IdentitiesOnly=yes -o ExitOnForwardFailure=yes \
            -o UserKnownHostsFile="$here/known_hosts" -L "$here/client.sock:$here/server.sock" root@127.0.0.1 2>>ssh.log &
        local client=$!
        pids+=("$client")
        for _wait in $(seq 20); do if [[ -S client.sock ]]; then break 2; else sleep 0.1; fi; done
        kill "$client" 2>/dev/null || true
    done
    answer=$(python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); print(s.recv(9).decode())' "$here/client.sock")
    kill "$client" "$server"
    wait "$client" "$server" 2>/dev/null || true
    echo "${options#restrict,}: $([[ $answer == hello ]] && echo answered || echo refused)"
}

{
    try 'restrict,port-forwarding'
    try 'restrict,port-forwarding,permitlisten="none.invalid:1"'
    try 'restrict,port-forwarding,permitopen="127.0.0.1:1"'
} | tee seen
diff seen - <<'TEXT'
port-forwarding: answered
port-forwarding,permitlisten="none.invalid:1": answered
port-forwarding,permitopen="127.0.0.1:1": refused
TEXT
