#!/bin/bash
# Rendered by kgen from kgen.toml. Change kgen.toml and run `kgen render`.
# kgen:sha256=7e148b20a5c3f4ff68cea92a613e66de1023ec80c0eef1b9709e9ccb8a491f75

# Sets up the client when it first starts: Java, Kafka's command-line tools, kgen, the load generator.
# What it did is in /var/log/cloud-init-output.log.
set -euo pipefail

KAFKA_VERSION='3.9.1'
KAFKA="kafka_2.13-${KAFKA_VERSION}"
KAFKA_URL="https://archive.apache.org/dist/kafka/${KAFKA_VERSION}/${KAFKA}.tgz"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A name that does not resolve yet, or a slow mirror, is no reason to give up.
fetch() { curl --fail --silent --show-error --location --retry 8 --retry-all-errors --retry-delay 5 --output "$2" "$1"; }

# The load generator comes first, so that it can say what is missing if a later step fails.
install -d -o ec2-user -g ec2-user '/home/ec2-user/scripts'
cat >'/home/ec2-user/scripts/hotspot_producer.py' <<'END_OF_PRODUCER'
#!/usr/bin/env python3
"""Sends load to Kafka: hands its options to `kgen produce`, --bootstrap-servers, --topic, --rate and --duration among them."""

import os
import sys

os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + os.pathsep + "/usr/local/bin"
try:
    os.execvp("kgen", ["kgen", "produce", *sys.argv[1:]])
except OSError as error:
    sys.exit(
        f"error: cannot start kgen on this machine ({error.strerror}). Either apply with a kgen that runs here, or set "
        "client.kgen_url and client.kgen_sha256 in kgen.toml, run `kgen render` and apply (the client is recreated), or copy a "
        "kgen for Linux on x86-64 to /usr/local/bin/kgen. Meanwhile Kafka's own tool sends load: "
        "/opt/kafka/bin/kafka-producer-perf-test.sh"
    )
END_OF_PRODUCER
chown ec2-user:ec2-user '/home/ec2-user/scripts/hotspot_producer.py'
chmod 755 '/home/ec2-user/scripts/hotspot_producer.py'

# The public address is attached once the instance runs.
for _ in {1..60}; do
  if curl --silent --head --max-time 5 --output /dev/null https://archive.apache.org/; then break; fi
  sleep 5
done

KGEN_SHA256='SHA256-TO-COME'
if [[ $KGEN_SHA256 = *-TO-COME ]]; then
  echo 'kgen is not installed: the machine that applied had none for this instance, and kgen.toml names no client.kgen_url.'
else
  # The credentials of the instance, too, may come a moment later.
  for _ in {1..60}; do
    if aws s3 cp --region 'us-west-2' --no-progress 's3://BUCKET-TO-COME/kgen/SHA256-TO-COME' "$work/kgen"; then break; fi
    sleep 5
  done
  echo "$KGEN_SHA256  $work/kgen" | sha256sum --check --quiet
  install -m 755 "$work/kgen" /usr/local/bin/kgen
fi

dnf install --assumeyes java-17-amazon-corretto-headless tar gzip

# Apache publishes the sum in groups over several lines.
fetch "$KAFKA_URL" "$work/kafka.tgz"
fetch "$KAFKA_URL.sha512" "$work/kafka.sum"
sum=$(tr -d '[:space:]' <"$work/kafka.sum" | sed 's/^.*://' | tr '[:upper:]' '[:lower:]' | cut -c 1-128)
echo "$sum  $work/kafka.tgz" | sha512sum --check --quiet
install -d /opt/kafka
tar --extract --gzip --file "$work/kafka.tgz" --directory /opt/kafka --strip-components 1 --no-same-owner
# shellcheck disable=SC2016 # The shell that logs in expands it.
echo 'PATH=$PATH:/opt/kafka/bin:/usr/local/bin' >/etc/profile.d/kafka.sh
