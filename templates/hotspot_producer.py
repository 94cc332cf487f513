#!/usr/bin/env python3
"""Sends load to Kafka: hands its options to `kgen produce`."""

import argparse
import os
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog="Options not named here go to `kgen produce` as they are.")
    parser.add_argument("--bootstrap-servers", required=True, help="host:port, separated by commas")
    parser.add_argument("--topic", default="{{ topic }}", help="default: %(default)s")
    parser.add_argument("--rate", default="{{ rate }}", help="records a second (default: %(default)s)")
    parser.add_argument("--duration", default="{{ duration }}", help="seconds (default: %(default)s)")
    options, others = parser.parse_known_args()

    arguments = ["kgen", "produce", "--bootstrap-servers", options.bootstrap_servers, "--topic", options.topic]
    arguments += ["--rate", options.rate, "--duration", options.duration, *others]
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/local/bin"
    os.environ["PATH"] = path
    try:
        os.execvp("kgen", arguments)
    except FileNotFoundError:
        sys.exit(
            "error: kgen is not installed on this machine. Either set client.kgen_url and client.kgen_sha256 in kgen.toml, "
            "run `kgen render` and apply (the client is made anew), or copy a kgen for Linux on x86-64 to "
            "/usr/local/bin/kgen. Meanwhile Kafka's own tool sends load: /opt/kafka/bin/kafka-producer-perf-test.sh"
        )


if __name__ == "__main__":
    main()
