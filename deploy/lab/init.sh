#!/bin/sh
# Runs once in the container `init`: the KMS's data folder with the lab's certificates, and each
# agent's certificate in the agent's own volume. Running it again changes nothing.
set -eu
cd /var/lib/keystub

if [ ! -e kms/kms-server.toml ]; then
  kms-server init --data kms --identity sip:kms@example.com --listen 0.0.0.0:7443
fi
for agent in mrfc mrfp; do
  for file in ca.pem "$agent.pem" "$agent.key"; do
    [ -e "$agent/$file" ] || install -m 0600 "kms/tls/$file" "$agent/$file"
  done
done
