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
