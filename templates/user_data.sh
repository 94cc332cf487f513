#!/bin/bash
# Sets up the client when it first starts: Java, Kafka's command-line tools, kgen, the load generator.
# What it did is in /var/log/cloud-init-output.log.
set -euo pipefail

{% if kafka_tools -%}
KAFKA_VERSION={{ kafka_version | quoted }}
KAFKA="kafka_2.13-${KAFKA_VERSION}"
KAFKA_URL="https://archive.apache.org/dist/kafka/${KAFKA_VERSION}/${KAFKA}.tgz"

{% endif -%}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{% if kafka_tools or kgen_url -%}
# A name that does not resolve yet, or a slow mirror, is no reason to give up.
fetch() { curl --fail --silent --show-error --location --retry 8 --retry-all-errors --retry-delay 5 --output "$2" "$1"; }

{% endif -%}
# The load generator comes first, so that it can say what is missing if a later step fails.
install -d -o ec2-user -g ec2-user {{ producer | split(pat="/hotspot_producer.py") | first | quoted }}
cat >{{ producer | quoted }} <<'END_OF_PRODUCER'
{% include "hotspot_producer.py" -%}
END_OF_PRODUCER
chown ec2-user:ec2-user {{ producer | quoted }}
chmod 755 {{ producer | quoted }}

{% if internet -%}
# The public address is attached once the instance runs.
for _ in {1..60}; do
  if curl --silent --head --max-time 5 --output /dev/null https://archive.apache.org/; then break; fi
  sleep 5
done
{% endif -%}
{% if kgen_url %}
# shellcheck disable=SC2016 # Nothing in a URL is for the shell.
fetch {{ kgen_url | quoted }} "$work/kgen"
echo {{ kgen_sha256 | quoted }}"  $work/kgen" | sha256sum --check --quiet
install -m 755 "$work/kgen" /usr/local/bin/kgen
{% elif kgen_object %}
KGEN_SHA256={{ kgen_sha256 | quoted }}
if [[ $KGEN_SHA256 = *-TO-COME ]]; then
  echo 'kgen is not installed: the machine that applied had none for this instance, and kgen.toml names no client.kgen_url.'
else
  # The credentials of the instance, too, may come a moment later.
  for _ in {1..60}; do
    if aws s3 cp --region {{ region | quoted }} --no-progress {{ kgen_object | quoted }} "$work/kgen"; then break; fi
    sleep 5
  done
  echo "$KGEN_SHA256  $work/kgen" | sha256sum --check --quiet
  install -m 755 "$work/kgen" /usr/local/bin/kgen
fi
{% else %}
echo 'kgen is not installed: kgen.toml names no client.kgen_url.'
{% endif %}
{% if kafka_tools -%}
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
{% endif -%}
