#!/usr/bin/env bash
# Plays a call between the example programs: call.sh FOLDER [initiator|self-issued]
#
# FOLDER holds the programs. This script is the network: it carries each message from the program
# that wrote it to the program that it is for. Both ends then say with whom they share which key.
set -euo pipefail
bin=$1
caller=${2:-initiator}
alice=sip:alice@example.com
bob=sip:bob@example.com
kms=sip:kms@example.com

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
umask 077

# ALICE_PSK: what Alice holds; another one than the KMS has shows how a call fails.
alice_psk=$(openssl rand -hex 32)
echo "$alice ${ALICE_PSK:-$alice_psk}" >"$home/alice.psks"
echo "$bob $(openssl rand -hex 32)" >"$home/bob.psks"
{ echo "$alice $alice_psk"; cat "$home/bob.psks"; } >"$home/kms.psks"
echo "$alice $(openssl rand -hex 32)" >"$home/alice.tpks"
{ echo "$kms $(openssl rand -hex 32)"; cat "$home/alice.tpks"; } >"$home/kms.tpks"

for name in kms alice bob; do mkfifo "$home/$name.in" "$home/$name.out"; done
"$bin/example-kms" "$kms" "$home/kms.psks" "$home/kms.tpks" \
  <"$home/kms.in" >"$home/kms.out" 2>"$home/kms.txt" &
keys=$home/alice.psks
[[ $caller != self-issued ]] || keys=$home/alice.tpks
"$bin/example-$caller" "$alice" "$bob" "$kms" "$keys" \
  <"$home/alice.in" >"$home/alice.out" 2>"$home/alice.txt" &
alice_pid=$!
"$bin/example-responder" "$bob" "$kms" "$home/bob.psks" \
  <"$home/bob.in" >"$home/bob.out" 2>"$home/bob.txt" &
bob_pid=$!
exec {to_kms}>"$home/kms.in" {from_kms}<"$home/kms.out"
exec {to_alice}>"$home/alice.in" {from_alice}<"$home/alice.out"
exec {to_bob}>"$home/bob.in" {from_bob}<"$home/bob.out"

# carry FROM TO: one message, and what it is. Fails when there is none: the sender gave up.
carry() {
  local message
  read -r message <&"$1" || return 1
  "$bin/example-inspect" <<<"$message" | sed -n 1p
  echo "$message" >&"$2"
}

ticket_request() {
  carry "$from_alice" "$to_kms" && carry "$from_kms" "$to_alice"
}
ticket_transfer() {
  carry "$from_alice" "$to_bob" && carry "$from_bob" "$to_kms" && carry "$from_kms" "$to_bob" &&
    carry "$from_bob" "$to_alice"
}
if [[ $caller == self-issued ]] || ticket_request; then ticket_transfer || true; fi
exec {to_kms}>&- {to_alice}>&- {to_bob}>&-

status=0
wait "$alice_pid" || status=1
wait "$bob_pid" || status=1
wait
for name in kms alice bob; do sed "s/^/$name: /" "$home/$name.txt"; done
exit "$status"
