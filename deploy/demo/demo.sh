#!/usr/bin/env bash
# The demo: a KMS, an MRFC, an MRFP and two users on loopback. Shows three protected calls and two
# refusals, and fails unless all of it happened. Normally through ./run demo.
#
# demo.sh [--keep]: --keep leaves the folder with configurations, SDPs and logs behind.
# KEYSTUB_BIN names the folder of the binaries (default: build/release/bin).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${KEYSTUB_BIN:-$root/build/release/bin}
keep=""
case ${1-} in
  "") ;;
  --keep) keep=yes ;;
  *)
    echo "usage: demo.sh [--keep]" >&2
    exit 2
    ;;
esac

kms_uri=sip:kms@example.com
mrfc_uri=sip:conference@example.com
issuer_uri=sip:issuer@example.com
alice_uri=sip:alice@example.com
bob_uri=sip:bob@example.com

# ---- what is printed ----

if [[ -t 1 && -z ${NO_COLOR-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' cyan=$'\e[36m' plain=$'\e[0m'
else
  bold="" dim="" green="" red="" cyan="" plain=""
fi

chapter() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; }
step() { printf '\n%s->%s %s\n' "$cyan" "$plain" "$1"; }
good() { printf '   %sok%s  %s\n' "$green" "$plain" "$1"; }
refused() { printf '   %srefused%s  %s\n' "$red" "$plain" "$1"; }

# show_sdp FILE: the SDP with its long lines folded.
show_sdp() {
  local line piece indent
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%$'\r'}
    indent="     "
    while IFS= read -r piece; do
      if [[ $line == a=key-mgmt:* ]]; then
        printf '%s%s%s%s\n' "$cyan" "$indent" "$piece" "$plain"
      else
        printf '%s%s\n' "$indent" "$piece"
      fi
      indent="         "
    done < <(fold -w 88 <<<"$line")
  done <"$1"
}

# show_events NAME FILE: what a user endpoint told, under its name; the fields that matter here.
show_events() {
  local line
  while IFS= read -r line; do
    case $line in
      "    prf "* | "    kms "* | "    keys "* | "    id "* | "    octets "* | *_octets\ * | \
        "    content_type "* | "    messages_received "*) continue ;;
    esac
    if [[ $line == "    "* ]]; then
      printf '   %s%-5s |   %s%s\n' "$dim" "$1" "${line#    }" "$plain"
    else
      printf '   %-5s | %s\n' "$1" "$line"
    fi
  done <"$2"
}

die() {
  printf '%sdemo: %s%s\n' "$red" "$1" "$plain" >&2
  [[ -z ${2-} || ! -s $2 ]] || tail -n 15 "$2" >&2
  exit 1
}

for program in kms-server kmsctl mrfp-agent mrfc-agent mrfcctl ue-agent; do
  [[ -x $bin/$program ]] || die "$bin/$program is missing: ./run build makes it"
done

# ---- processes and files: everything is ours, and everything goes ----

folder=$(mktemp -d "${TMPDIR:-/tmp}/keystub-demo-XXXXXX")
declare -A running=()

finish() {
  local status=$? pid
  for pid in "${!running[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${!running[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [[ $status -ne 0 && $status -lt 128 ]]; then
    printf '\n%sThe demo failed.%s The logs are in %s\n' "$red" "$plain" "$folder"
  elif [[ $status -eq 0 && -n $keep ]]; then
    printf '\nConfigurations, SDPs and logs are in %s\n' "$folder"
  else
    rm -rf "$folder"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# await TEXT COMMAND...: tries for 20 s.
await() {
  local what=$1 tries=0
  shift
  until "$@"; do
    tries=$((tries + 1))
    [[ $tries -lt 400 ]] || die "$what"
    sleep 0.05
  done
}

# start_daemon NAME PROGRAM CONFIG: returns when it is ready; it tells its addresses in NAME.ready.
start_daemon() {
  local name=$1 program=$2 config=$3
  "$bin/$program" run --config "$config" --ready-file "$folder/$name.ready" \
    >"$folder/$name.log" 2>&1 &
  local pid=$!
  running[$pid]=$name
  is_ready_or_gone() { [[ -s $folder/$name.ready ]] || ! kill -0 "$pid" 2>/dev/null; }
  await "$name does not become ready" is_ready_or_gone
  [[ -s $folder/$name.ready ]] || die "$name does not start" "$folder/$name.log"
  good "$program, as $name"
}

# address_of NAME ENDPOINT: prints what the daemon told in its ready file.
address_of() {
  local line
  while IFS= read -r line; do
    [[ $line != "$2="* ]] || printf '%s' "${line#*=}"
  done <"$folder/$1.ready"
}

# value_of NAME FILE: prints the value of a line "NAME  VALUE".
value_of() {
  local name value
  while read -r name value; do
    [[ $name != "$1" ]] || printf '%s' "$value"
  done <"$2"
}

# start_user NAME VERB OPTIONS...: an ue-agent in the background; its pid is in $user.
start_user() {
  local name=$1 verb=$2
  shift 2
  "$bin/ue-agent" "$verb" --config "$folder/$name.toml" --timeout 30 "$@" 2>"$folder/$name.events" &
  user=$!
  running[$user]=$name
}

# end_of PID: its exit code.
end_of() {
  local status=0
  wait "$1" || status=$?
  unset "running[$1]"
  return $status
}

# talked PID NAME: the user's session must have succeeded.
talked() {
  local status=0
  end_of "$1" || status=$?
  show_events "$2" "$folder/$2.events"
  [[ $status -eq 0 ]] || die "$2's session failed with exit code $status"
}

has_event() {
  local line
  while IFS= read -r line; do
    [[ $line != "$1"* ]] || return 0
  done <"$2"
  return 1
}

kmsctl() { "$bin/kmsctl" --socket "$folder/kms/admin.sock" "$@"; }

# mrfcctl NAME ARGUMENTS...: at the MRFC of that name.
mrfcctl() {
  local address
  address=$(address_of "$1" sessions)
  shift
  "$bin/mrfcctl" --server "$address" --ca "$folder/kms/tls/ca.pem" \
    --cert "$folder/kms/tls/mrfc.pem" --key "$folder/kms/tls/mrfc.key" "$@"
}

# take_answer NAME CALL USER: hands the user's answer to the MRFC once it is there.
take_answer() {
  await "$3 does not answer" test -s "$folder/$2.answer"
  mrfcctl "$1" accept-answer --session "$(value_of session "$folder/$2.offered")" \
    --sdp "$folder/$2.answer" >"$folder/$2.accepted" 2>"$folder/$2.refusal" ||
    die "the MRFC refuses $3's answer" "$folder/$2.refusal"
}

# ---- the house ----

printf '%sKeystub:%s keys for protected conference messages, by tickets (RFC 6043, MIKEY-TICKET)\n' \
  "$bold" "$plain"
printf '%sKMS   issues and opens tickets      MRFC  speaks SDP, knows tickets and keys\n' "$dim"
printf 'MRFP  carries TLS and MSRP          users alice and bob, each with a key at the KMS%s\n' \
  "$plain"

chapter "The house"
step "A new KMS: its own key encryption key, database, lab certificates"
"$bin/kms-server" init --data "$folder/kms" --identity "$kms_uri" --listen 127.0.0.1:0 >/dev/null
start_daemon kms kms-server "$folder/kms/kms-server.toml"
kms=$(address_of kms tickets)

step "Identities at the KMS; kmsctl makes a key for each and writes it to a file of mode 0600"
create() { kmsctl identity create "$1" --kind "$2" --new-psk "$folder/$3.psk" >/dev/null; }
create "$alice_uri" user alice
create "$bob_uri" user bob
create "$mrfc_uri" mrfc mrfc
create "$issuer_uri" mrfc issuer
kmsctl tpk share --identity "$issuer_uri" --out "$folder/issuer.tpk" >"$folder/issuer.shared"
kmsctl identity list

step "Media plane, and two controllers: one asks the KMS for tickets, one issues them itself"
cat >"$folder/mrfp.toml" <<EOF
[control]
listen = "127.0.0.1:0"
certificate = "kms/tls/mrfp.pem"
private_key = "kms/tls/mrfp.key"
client_ca = "kms/tls/ca.pem"
client_names = ["mrfc"]
[media]
ip = "127.0.0.1"
EOF
start_daemon mrfp mrfp-agent "$folder/mrfp.toml"

# mrfc_config NAME URI: the rest of the ticket section comes on standard input.
mrfc_config() {
  cat >"$folder/$1.toml" <<EOF
[identity]
uri = "$2"
psk_file = "$1.psk"
[kms]
target = "$kms"
identity = "$kms_uri"
ca = "kms/tls/ca.pem"
certificate = "kms/tls/mrfc.pem"
private_key = "kms/tls/mrfc.key"
[mrfp]
target = "$(address_of mrfp control)"
ca = "kms/tls/ca.pem"
certificate = "kms/tls/mrfc.pem"
private_key = "kms/tls/mrfc.key"
[listen]
address = "127.0.0.1:0"
certificate = "kms/tls/mrfc.pem"
private_key = "kms/tls/mrfc.key"
client_ca = "kms/tls/ca.pem"
[replay]
file = "$1.replay"
[ticket]
$(cat)
EOF
  "$bin/mrfc-agent" init --config "$folder/$1.toml" >/dev/null
}
mrfc_config mrfc "$mrfc_uri" <<<'source = "kms"'
start_daemon mrfc mrfc-agent "$folder/mrfc.toml"
mrfc_config issuer "$issuer_uri" <<EOF
source = "self-issued"
tpk_file = "issuer.tpk"
tpk_id = "$(value_of tpk_id "$folder/issuer.shared")"
EOF
start_daemon issuer mrfc-agent "$folder/issuer.toml"

user_config() {
  cat >"$folder/$1.toml" <<EOF
[identity]
uri = "$2"
psk_file = "$1.psk"
[kms]
target = "$kms"
ca = "kms/tls/ca.pem"
identity = "$kms_uri"
[replay]
file = "$1.replay"
EOF
  "$bin/ue-agent" init --config "$folder/$1.toml"
}
user_config alice "$alice_uri"
user_config bob "$bob_uri"

# ---- three calls ----

chapter "1. Dial-out: the conference invites alice, with a ticket of the KMS (mode 1)"
step "The MRFC asks the KMS for a ticket that alice may resolve, and offers (SIP INVITE):"
mrfcctl mrfc offer --peer "$alice_uri" --sdp-out "$folder/1.offer" >"$folder/1.offered"
show_sdp "$folder/1.offer"
step "alice has the ticket resolved, verifies, and answers (200 OK):"
start_user alice answer --from "$mrfc_uri" --offer-in "$folder/1.offer" \
  --answer-out "$folder/1.answer" --expect 1 --send "Hello Bob, Alice here." --send-after 1
alice=$user
take_answer mrfc 1 alice
show_sdp "$folder/1.answer"
step "The MRFC verifies alice's answer and gives the key to the MRFP; TLS comes up:"
await "alice has no TLS" has_event "tls established" "$folder/alice.events"
good "alice is in the conference and waits"

chapter "2. Dial-in: bob calls the same conference, with a ticket that he requested"
step "bob asks the KMS for a ticket that the MRFC may resolve, and offers:"
start_user bob offer --to "$mrfc_uri" --offer-out "$folder/2.offer" --answer-in "$folder/2.answer" \
  --send "Hello Alice, this is Bob." --expect 1
bob=$user
await "bob does not offer" test -s "$folder/2.offer"
show_sdp "$folder/2.offer"
step "The MRFC has it resolved, verifies, and answers:"
mrfcctl mrfc accept-offer --sdp "$folder/2.offer" --from "$bob_uri" --asserted "$bob_uri" \
  --conference "$(value_of conference "$folder/1.offered")" --sdp-out "$folder/2.answer" \
  >"$folder/2.accepted" 2>"$folder/2.refusal" ||
  die "the MRFC refuses bob's offer" "$folder/2.refusal"
show_sdp "$folder/2.answer"
step "What bob saw: his ticket, his TLS session, alice's message at the far end of hers"
talked "$bob" bob
has_event "    text        Hello Bob, Alice here." "$folder/bob.events" ||
  die "alice's message did not reach bob"
step "What alice saw: the ticket of the MRFC, her TLS session with a key of its own, bob's message"
talked "$alice" alice
has_event "    text        Hello Alice, this is Bob." "$folder/alice.events" ||
  die "bob's message did not reach alice"
good "two legs, two tickets, two keys; the messages crossed both ways"

chapter "3. Dial-out with a self-issued ticket (mode 3)"
step "This MRFC made the ticket itself, under a key that it shares with the KMS; no request:"
mrfcctl issuer offer --peer "$bob_uri" --sdp-out "$folder/3.offer" >"$folder/3.offered"
show_sdp "$folder/3.offer"
step "bob has it resolved by the KMS all the same, answers, and hears his own echo:"
start_user bob answer --from "$issuer_uri" --offer-in "$folder/3.offer" \
  --answer-out "$folder/3.answer" --send "Is anybody there?" --expect 1
take_answer issuer 3 bob
show_sdp "$folder/3.answer"
talked "$user" bob
good "mode 3: flag D is clear, flag L is set; the rest is the same"

# ---- two refusals ----

chapter "4. Refusal: somebody changed one bit of the ticket on its way"
step "bob's offer is tampered with between him and the MRFC"
start_user bob offer --to "$mrfc_uri" --offer-out "$folder/4.offer" --answer-in "$folder/4.answer" \
  --lab-tamper-ticket
await "bob does not offer" test -s "$folder/4.offer"
if mrfcctl mrfc accept-offer --sdp "$folder/4.offer" --from "$bob_uri" \
  --sdp-out "$folder/4.answer" >"$folder/4.accepted" 2>"$folder/4.refusal"; then
  die "the MRFC accepted a tampered ticket"
fi
kill "$user"
end_of "$user" || true
[[ ! -e $folder/4.answer ]] || die "there is an answer to a tampered ticket"
refused "$(cat "$folder/4.refusal")"
printf '   the line in the audit of the KMS:\n'
tail -n 1 "$folder/kms/audit.jsonl" | fold -w 88 | while IFS= read -r line; do
  printf '     %s%s%s\n' "$dim" "$line" "$plain"
done

chapter "5. Refusal: a peer with the key of another stream"
step "alice is invited and answers; her stream at the MRFP waits for her key"
mrfcctl mrfc offer --peer "$alice_uri" --sdp-out "$folder/5.offer" >"$folder/5.offered"
start_user alice answer --offer-in "$folder/5.offer" --answer-out "$folder/5.answer" --lab-no-media
take_answer mrfc 5 alice
end_of "$user" || die "alice's answer failed" "$folder/alice.events"
stream="127.0.0.1:"
while read -r kind port _; do
  [[ $kind != m=message ]] || stream+=$port
done <"$folder/5.offer"
step "bob is invited too, has a good key for a stream of his own, and takes it to alice's, $stream"
mrfcctl mrfc offer --peer "$bob_uri" --sdp-out "$folder/6.offer" >"$folder/6.offered"
start_user bob answer --offer-in "$folder/6.offer" --answer-out "$folder/6.answer" \
  --lab-connect "$stream" --send "This must not get through."
take_answer mrfc 6 bob
status=0
end_of "$user" || status=$?
show_events bob "$folder/bob.events"
[[ $status -eq 4 ]] || die "bob should have been refused (exit code 4), but ended with $status"
refused "the MRFP ties each key to one stream; no message crossed"

chapter "All of it happened"
cat <<EOF
What to try next:
  deploy/demo/demo.sh --keep       keep configurations, SDPs and logs to look at
  ./run test                       everything that must be green
  build/release/bin/kmsctl --help  administer a KMS; docs/kmsctl.md
  docs/ue-agent.md                 play a user by hand
  docs/architecture.md             what each folder is
EOF
