"""The brokers of a measurement: topics made and deleted, records' timestamps read, a broker stopped and continued."""

import json
import os
import signal
import subprocess
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic


class Mock:
    """librdkafka's mock cluster, a process of its own with one topic."""

    def __init__(self, program, topic, brokers=3, partitions=6):
        self.process = subprocess.Popen([program, str(brokers), topic, str(partitions)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.servers = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)


class Brokers:
    def __init__(self, servers, pids):
        """`pids` has the process of each broker by its id; empty when the brokers are not on this machine."""
        self.servers, self.pids = servers, pids
        self.admin = AdminClient({"bootstrap.servers": servers})
        self.number = 0

    @classmethod
    def of_lab(cls, status):
        brokers = json.loads(status)["clusters"][0]["brokers"]
        return cls(",".join(broker["endpoints"]["plaintext"] for broker in brokers),
                   {broker["id"]: broker["pid"] for broker in brokers})

    def topic(self, partitions=6, replicas=2, **settings):
        """A new topic, ready for use; the one before is gone, so that every run begins alike."""
        self.number += 1
        name = f"bench-{os.getpid()}-{self.number}"
        config = {"file.delete.delay.ms": "1000", "retention.bytes": "-1", **settings}
        [made] = self.admin.create_topics([NewTopic(name, partitions, replicas, config=config)]).values()
        made.result(30)
        for _ in range(100):
            found = self.admin.list_topics(name, timeout=10).topics[name].partitions
            if len(found) == partitions and all(partition.leader >= 0 for partition in found.values()):
                return name
            time.sleep(0.1)
        raise SystemExit(f"error: topic {name} has no leaders after 10 s")

    def delete(self, topic):
        [gone] = self.admin.delete_topics([topic]).values()
        gone.result(30)
        # Its files go in the background; they are not to weigh on the next run.
        time.sleep(2)

    def timestamps_ms(self, topic, records):
        """The timestamp of every record, in the order of partition and offset."""
        partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.servers, "group.id": "bench", "enable.auto.commit": False})
        try:
            consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in partitions])
            found, until = [], time.monotonic() + 60
            while len(found) < records and time.monotonic() < until:
                for message in consumer.consume(10_000, 0.5):
                    if message.error() is None:
                        found.append(message.timestamp()[1])
        finally:
            consumer.close()
        return found

    def await_first(self, topic, still_runs, seconds=120):
        """Returns once the topic has a record, or whoever is to send it has ended: whether it has."""
        partitions = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.servers, "group.id": "bench", "enable.auto.commit": False})
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until and still_runs():
                for number in partitions:
                    if consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, number), timeout=5)[1] > 0:
                        return True
                time.sleep(0.02)
        finally:
            consumer.close()
        return False

    def stop_for(self, topic, seconds):
        """Stops the process that leads the only partition of `topic`, continues it, and returns for how long, s."""
        leader = self.admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
        os.kill(self.pids[leader], signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.pids[leader], signal.SIGCONT)
        return time.monotonic() - stopped
