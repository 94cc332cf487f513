"""The programs that are compared: how each is run with the same settings, what it cost, what it says of itself."""

import dataclasses
import glob
import json
import os
import re
import subprocess
import tempfile
import time

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader


@dataclasses.dataclass
class Job:
    """What is to be sent, the same for every program."""

    servers: str
    topic: str
    records: int
    size: int
    acks: str = "1"
    idempotent: bool = False
    compression: str = "none"
    rate: int | None = None
    linger_ms: int = 50


@dataclasses.dataclass
class Run:
    """What a program cost, by the kernel's account, and what it printed."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    records: int
    records_per_s: float
    said: dict
    exit_code: int

    @property
    def cpu_per_million(self):
        return self.cpu_s / self.records * 1e6


def quantiles(latencies_ms):
    """What is said of latencies, whoever measured them."""
    latencies = sorted(latencies_ms)

    def at(quantile):
        return latencies[min(len(latencies) - 1, int(quantile * len(latencies)))]

    return {"p50": at(0.5), "p99": at(0.99), "p99_9": at(0.999), "max": latencies[-1],
            "over_1s": sum(latency > 1000 for latency in latencies)}


def high_water_kib(pid):
    """The most memory that a process had so far; 0 when it has ended."""
    with open(f"/proc/{pid}/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)


class Client:
    """A program: `command` and `read` are what differs."""

    name = ""
    # A JVM compiles while it runs: it gets more records, so that its start weighs less.
    times_records = 1

    def run(self, job, at_start=None):
        job = dataclasses.replace(job, records=job.records * (self.times_records if job.rate is None else 1))
        with tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder:
            command = self.command(job, folder)
            with open(os.path.join(folder, "out"), "w+") as out:
                started, besides = time.monotonic(), None
                child = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
                try:
                    if at_start:
                        besides = at_start(child)
                    # This child's own account, not that of all children so far. Its ru_maxrss would begin with the memory of
                    # this process, so the peak is read while it runs.
                    peak_kib = 0
                    while True:
                        peak_kib = max(peak_kib, high_water_kib(child.pid))
                        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                        if pid:
                            break
                        time.sleep(0.02)
                except BaseException:
                    child.kill()
                    child.wait()
                    raise
                wall = time.monotonic() - started
                if besides:
                    besides.join()
                child.returncode = os.waitstatus_to_exitcode(status)
                out.seek(0)
                text = out.read()
            try:
                records_per_s, said = self.read(text, folder)
            except (AttributeError, IndexError, KeyError, ValueError) as error:
                raise SystemExit(f"error: {self.name} ended with {child.returncode} and printed no result ({error!r}):\n"
                                 f"{' '.join(command)[:2000]}\n{text[-2000:]}") from error
        return Run(usage.ru_utime + usage.ru_stime, wall, peak_kib / 1024, job.records, records_per_s, said,
                   child.returncode)


class Kgen(Client):
    def __init__(self, program, payload="random", name="kgen", settings=()):
        self.program, self.payload, self.name, self.settings = program, payload, name, settings

    def command(self, job, folder):
        command = [self.program, "produce", "--bootstrap-servers", job.servers, "--topic", job.topic, "--json",
                   "--rate", str(job.rate or "max"), "--records", str(job.records), "--duration", "1h",
                   "--record-size", str(job.size), "--keys", "none", "--acks", job.acks,
                   "--compression", job.compression, "--set", f"linger.ms={job.linger_ms}",
                   "--payload", "random:100" if job.compression != "none" else self.payload]
        command += ["--idempotent"] if job.idempotent else []
        for setting in self.settings:
            command += ["--set", setting]
        return command

    def read(self, text, folder):
        said = json.loads(text[text.index("\n{\n") if not text.startswith("{") else 0:])
        if said["acknowledged"] != said["offered"]:
            raise ValueError(f"{said['acknowledged']} of {said['offered']} acknowledged")
        if said["rate_asked"]:
            # By another's reader of the HdrHistogram log.
            [log] = glob.glob(os.path.join(folder, ".kgen/runs/*/latency.hlog"))
            whole = HdrHistogram(1, 3_600_000_000, 3)
            reader = HistogramLogReader(log, whole)
            while reader.add_next_interval_histogram(whole):
                pass
            said["over_1s"] = sum(item.count_at_value_iterated_to for item in whole.get_recorded_iterator()
                                  if item.value_iterated_to > 1_000_000)
        return said["rate_reached"], said


class Rdkafka(Client):
    """librdkafka's rdkafka_performance. Its linger.ms is 1000 unless told; it gets that of the others."""

    def __init__(self, program, latency):
        self.program, self.latency = program, latency
        self.name = "rdkafka_performance -l" if latency else "rdkafka_performance"

    def command(self, job, folder):
        command = [self.program, "-P", "-t", job.topic, "-b", job.servers, "-s", str(job.size), "-c", str(job.records),
                   "-a", job.acks.replace("all", "-1"), "-z", job.compression, "-X", f"linger.ms={job.linger_ms}",
                   "-i", "10000"]
        # With -A every latency that it measured is written to a file; only where the rate is low, for it costs.
        command += ["-l"] if self.latency else []
        command += ["-A", os.path.join(folder, "latencies")] if self.latency and job.rate else []
        command += ["-r", str(job.rate)] if job.rate else []
        command += ["-X", "enable.idempotence=true"] if job.idempotent else []
        return command

    def read(self, text, folder):
        found = re.findall(r"(\d+) delivered \(offset -?\d+, (\d+) failed\) in (\d+)ms: (\d+) msgs/s", text)[-1]
        said = {"delivered": int(found[0]), "failed": int(found[1])}
        path = os.path.join(folder, "latencies")
        if os.path.exists(path):
            with open(path) as file:
                said.update(quantiles(float(line.split()[-1]) / 1000 for line in file if line[:1].isdigit()))
        return float(found[3]), said


class Java(Client):
    """Kafka's kafka-producer-perf-test (org.apache.kafka.tools.ProducerPerformance), by the JVM's own choices."""

    times_records = 3

    def __init__(self, java, libs, tuned, one_payload=False):
        self.java, self.libs, self.tuned, self.one_payload = java, libs, tuned, one_payload
        self.name = "perf-test" + (" tuned" if tuned else "") + (", one payload" if one_payload else "")

    def command(self, job, folder):
        properties = [f"bootstrap.servers={job.servers}", f"acks={job.acks}", f"compression.type={job.compression}",
                      f"enable.idempotence={str(job.idempotent).lower()}", f"linger.ms={job.linger_ms}"]
        if self.tuned:
            properties += ["batch.size=1000000", "buffer.memory=134217728", "receive.buffer.bytes=1048576",
                           "send.buffer.bytes=1048576"]
        payload = ["--record-size", str(job.size)]
        if self.one_payload or job.compression != "none":
            path = os.path.join(folder, "payload")
            with open(path, "w") as file:
                file.write(("librdkafka_performance testing!" * (job.size // 31 + 1))[:job.size])
            payload = ["--payload-file", path]
        return [self.java, "-Xmx512m", "-Dlog4j2.level=ERROR", "-cp", f"{self.libs}/*",
                "org.apache.kafka.tools.ProducerPerformance", "--topic", job.topic, "--num-records", str(job.records),
                "--throughput", str(job.rate or -1), *payload, "--command-property", *properties]

    def read(self, text, folder):
        number = r"([\d.]+)"
        found = re.search(rf"(\d+) records sent, {number} records/sec \({number} MB/sec\), {number} ms avg latency, "
                          rf"{number} ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99.9th", text)
        names = ["records", "rate", "mib", "avg", "max", "p50", "p95", "p99", "p99_9"]
        said = {name: float(value) for name, value in zip(names, found.groups())}
        return said["rate"], said


class Sleeper(Client):
    """A client as people write it: confluent-kafka for Python, a sleep between two sends (sleeper.py)."""

    def __init__(self, python, script, wait):
        self.python, self.script, self.wait = python, script, wait
        self.name = "Python, sleeps, waits for each" if wait else "Python, sleeps"

    def command(self, job, folder):
        return [self.python, self.script, job.servers, job.topic, str(job.records), str(job.size), str(job.rate), job.acks,
                str(job.linger_ms), "wait" if self.wait else "go on"]

    def read(self, text, folder):
        said = json.loads(text[text.index("{"):])
        return said["rate"], said
