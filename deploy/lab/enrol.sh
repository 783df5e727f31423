#!/bin/sh
# Runs once in the container `enrol`, beside a healthy KMS: the MRFC becomes an identity with a new
# key, which goes straight into the MRFC's volume. Running it again changes nothing.
set -eu
cd /var/lib/keystub

if [ ! -e mrfc/mrfc.psk ]; then
  kmsctl --socket kms/admin.sock identity create sip:conference@example.com --kind mrfc \
    --new-psk mrfc/mrfc.psk
fi
[ -e mrfc/mrfc.replay ] || mrfc-agent init --config /etc/keystub/mrfc-agent.toml
