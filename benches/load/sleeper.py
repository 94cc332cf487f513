"""A load generator as people write it: send, sleep for the rest of the interval, send.

    sleeper.py SERVERS TOPIC RECORDS SIZE RATE ACKS LINGER_MS (wait|"go on")

With `wait` each record's answer is awaited before the next is sent. Times run from the send, as such scripts have it.
"""

import json
import sys
import time

import confluent_kafka

servers, topic, records, size, rate, acks, linger_ms, wait = sys.argv[1:]
records, size, rate, wait = int(records), int(size), float(rate), wait == "wait"
producer = confluent_kafka.Producer({"bootstrap.servers": servers, "acks": acks, "linger.ms": linger_ms})
latencies = []
failed = 0


def delivered(sent):
    def note(error, _):
        global failed
        failed += error is not None
        latencies.append(time.monotonic() - sent)
    return note


value = b"x" * size
started = time.monotonic()
for _ in range(records):
    sent = time.monotonic()
    producer.produce(topic, value, on_delivery=delivered(sent))
    if wait:
        producer.flush()
    else:
        producer.poll(0)
    time.sleep(max(0, 1 / rate - (time.monotonic() - sent)))
took = time.monotonic() - started
producer.flush()
latencies.sort()


def at(quantile):
    return latencies[min(len(latencies) - 1, int(quantile * len(latencies)))] * 1000


print(json.dumps({"rate": records / took, "records": records, "failed": failed, "p50": at(0.5), "p99": at(0.99),
                  "p99_9": at(0.999), "max": latencies[-1] * 1000,
                  "over_1s": sum(latency > 1 for latency in latencies)}))
