"""The load generator against its peers; started by scripts/bench-load, which builds and starts what this needs."""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import confluent_kafka

from clients import Java, Job, Kgen, Rdkafka, Sleeper, quantiles
from cluster import Brokers, Mock

# Records of a run by record size; perf-test gets three times as many.
RECORDS = {100: 3_000_000, 1024: 800_000, 10240: 80_000}
# Kgen's CPU by that of another: what is asked for.
ASKED = {"rdkafka_performance -l": 0.8, "rdkafka_performance": 1.15, "perf-test tuned": 0.25}


def main():
    arguments = parse()
    here = os.path.dirname(os.path.abspath(__file__))
    kgen = Kgen(arguments.kgen, payload=arguments.payload, settings=arguments.set)
    with_latency, without = Rdkafka(arguments.rdkafka_performance, True), Rdkafka(arguments.rdkafka_performance, False)
    java = [Java(arguments.java, arguments.kafka_libs, True), Java(arguments.java, arguments.kafka_libs, True, one_payload=True)]
    sleepers = [Sleeper(arguments.python, os.path.join(here, "sleeper.py"), wait) for wait in (False, True)]
    everyone = [kgen, with_latency, without, *java, *sleepers]
    wanted = [client for client in everyone
              if not arguments.clients or any(client.name.startswith(name) for name in arguments.clients)]
    print(f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} cores, "
          f"load average {os.getloadavg()[0]:.2f}")
    brokers = None
    if arguments.table != 2:
        with open(arguments.lab_status) as status:
            brokers = Brokers.of_lab(status.read())
    fast = [client for client in wanted if not isinstance(client, Sleeper)]
    if arguments.table == 1:
        table_cost(arguments, fast, lambda size: brokers_cost(brokers, arguments))
    elif arguments.table == 2:
        # The mock cluster speaks older versions of the protocol than Kafka's own client does today.
        table_cost(arguments, [client for client in fast if not isinstance(client, Java)], lambda size: mock_cost(arguments))
    elif arguments.table == 3:
        table_pace(arguments, brokers, [client for client in wanted if client not in (without, java[1], sleepers[1])])
    elif arguments.table == 5:
        table_soak(arguments, brokers, kgen)
    else:
        table_stop(arguments, brokers, [client for client in wanted if client not in (without, java[1])])


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-load")
    parser.add_argument("--table", type=int, choices=[1, 2, 3, 4, 5], required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=list(RECORDS))
    parser.add_argument("--acks", choices=["0", "1", "all", "idempotent"], default="1")
    parser.add_argument("--compression", default="none")
    parser.add_argument("--linger-ms", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="of the records of a full run")
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[500, 5000])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--clients", type=lambda text: text.split(","), default=[])
    parser.add_argument("--payload", default="random")
    parser.add_argument("--set", action="append", default=[], help="a setting for kgen alone, for trials")
    for program in ["kgen", "rdkafka-performance", "mock-cluster", "java", "kafka-libs", "python", "lab-status"]:
        parser.add_argument(f"--{program}", required=True)
    return parser.parse_args()


class brokers_cost:
    """A fresh topic on the brokers for every run."""

    def __init__(self, brokers, arguments):
        self.brokers, self.arguments = brokers, arguments

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, client, job):
        job.servers, job.topic = self.brokers.servers, self.brokers.topic(replicas=self.arguments.replicas)
        try:
            return client.run(job)
        finally:
            self.brokers.delete(job.topic)


class mock_cost:
    """A fresh mock cluster for every run."""

    def __init__(self, arguments):
        self.arguments = arguments

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, client, job):
        with Mock(self.arguments.mock_cluster, "bench") as mock:
            job.servers, job.topic = mock.servers, "bench"
            return client.run(job)


def spread(values, digits):
    values = sorted(values)
    return f"{statistics.median(values):.{digits}f} ({values[0]:.{digits}f}–{values[-1]:.{digits}f})"


def table_cost(arguments, clients, place):
    """By turns, A B C A B C: what else the machine does falls on all of them."""
    acks, idempotent = ("all", True) if arguments.acks == "idempotent" else (arguments.acks, False)
    where = "the mock cluster in another process" if arguments.table == 2 else "three brokers"
    print(f"table {arguments.table}: {where}, 6 partitions, acks {arguments.acks}, compression {arguments.compression}, "
          f"linger.ms {arguments.linger_ms}, {arguments.rounds} rounds; median (least–most)\n")
    print("| record | program | client CPU, s per million | kgen's CPU by it | asked | records/s | peak memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    for size in arguments.sizes:
        runs = {client.name: [] for client in clients}
        with place(size) as stage:
            for _ in range(arguments.rounds):
                for client in clients:
                    job = Job("", "", max(1000, int(RECORDS.get(size, 100_000) * arguments.share)), size, acks,
                              idempotent, arguments.compression, linger_ms=arguments.linger_ms)
                    runs[client.name].append(attempted(lambda: stage.run(client, job)))
        kgen = runs.get("kgen", [])
        for name, own in runs.items():
            # Within a round, and only where both came to an end.
            ratios = [ours.cpu_per_million / run.cpu_per_million for ours, run in zip(kgen, own) if ours and run]
            own = [run for run in own if run]
            if not own:
                print(f"| {size} B | {name} | failed in every round | | | | |", flush=True)
                continue
            ratio, asked = "", ""
            if name != "kgen" and ratios:
                ratio = spread(ratios, 2)
                if name in ASKED:
                    met = "met" if statistics.median(ratios) <= ASKED[name] else "missed"
                    asked = f"≤ {ASKED[name]}: {met}"
            print(f"| {size} B | {name} | {spread([run.cpu_per_million for run in own], 2)} | {ratio} | {asked} "
                  f"| {spread([run.records_per_s for run in own], 0)} | {max(run.peak_mib for run in own):.0f} |", flush=True)


def attempted(run):
    """What `run` returns; nothing when it failed, which is told and does not end the table."""
    try:
        return run()
    except (SystemExit, subprocess.SubprocessError, OSError, confluent_kafka.KafkaException) as error:
        print(error, file=sys.stderr, flush=True)
        return None


def table_pace(arguments, brokers, clients):
    """Send times are the CreateTime of the records in the topic, 1 ms fine, read by one reader for all.

    The first seconds of each program are left out, the same for all: a JVM starts slowly and then makes up for it, which says
    how long it takes to start and not how it keeps its pace."""
    warm_up = min(10, arguments.seconds / 4)
    print(f"table 3: {arguments.seconds} s at each rate, 1024 B, acks {arguments.acks}, one after the other; send times are the "
          f"records' timestamps, 1 ms fine; the first {warm_up:g} s after a program's first record are left out\n")
    print("| rate asked | program | records | rate reached | error | off schedule p50, ms | p99, ms | max, ms "
          "| gaps off p99, ms | client CPU, s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for rate in arguments.rates:
        for client in clients:
            topic = brokers.topic(replicas=arguments.replicas)
            seconds = arguments.seconds + warm_up
            job = Job(brokers.servers, topic, int(rate * seconds), 1024, arguments.acks, rate=rate, linger_ms=5)
            run = attempted(lambda: client.run(job))
            if run is None:
                brokers.delete(topic)
                print(f"| {rate} | {client.name} | failed | | | | | | | |", flush=True)
                continue
            sent = sorted(brokers.timestamps_ms(topic, job.records))
            brokers.delete(topic)
            sent = [at for at in sent if at >= sent[0] + warm_up * 1000]
            if len(sent) < rate:
                print(f"| {rate} | {client.name} | {len(sent)} | too few to tell | | | | | | {run.cpu_s:.2f} |", flush=True)
                continue
            reached = (len(sent) - 1) / (sent[-1] - sent[0]) * 1000
            offsets = [at - number * 1000 / rate for number, at in enumerate(sent)]
            # The start of its schedule: the earliest that any record of the first second speaks for.
            start = min(offsets[:rate])
            off = quantiles(offset - start for offset in offsets)
            gaps = quantiles(abs(after - before - 1000 / rate) for before, after in zip(sent, sent[1:]))
            own = run.said.get("send_error")
            print(f"| {rate} | {client.name} | {len(sent)} | {reached:.2f} | {(reached / rate - 1) * 100:+.3f} % "
                  f"| {off['p50']:.0f} | {off['p99']:.0f} | {off['max']:.0f} | {gaps['p99']:.1f} | {run.cpu_s:.2f} |", flush=True)
            if own:
                print(f"|  | (its own send error, whole run) | | {run.said['rate_reached']:.2f} | | {own['p50_ms']} | {own['p99_ms']} "
                      f"| {own['max_ms']} | | |", flush=True)


def table_stop(arguments, brokers, clients):
    """The truth: when the broker appended each record (LogAppendTime), against when the schedule wanted it sent."""
    seconds, at, length = 30, 10, 10
    print(f"table 4: {seconds} s, one partition without replicas, its broker stopped for {length} s from {at} s after its first "
          "record. truth: from when a record should have left to when the broker had it\n")
    print("| rate asked | program | | records | over 1 s | p50, ms | p99, ms | max, ms |")
    print("|---|---|---|---|---|---|---|---|")
    for rate in arguments.rates:
        for client in clients:
            topic = brokers.topic(partitions=1, replicas=1, **{"message.timestamp.type": "LogAppendTime",
                                                               "min.insync.replicas": "1"})
            job = Job(brokers.servers, topic, rate * seconds, 1024, arguments.acks, rate=rate, linger_ms=5)
            stopper = []

            def stop_in_time(child, topic=topic):
                def stop():
                    # By the client's wait4 the process is gone as soon as it has ended.
                    alive = lambda: os.path.exists(f"/proc/{child.pid}")
                    if brokers.await_first(topic, alive):
                        time.sleep(at)
                        if alive():
                            stopper.append(brokers.stop_for(topic, length))
                thread = threading.Thread(target=stop)
                thread.start()
                return thread

            run = attempted(lambda: client.run(job, stop_in_time))
            if run is None or not stopper:
                brokers.delete(topic)
                what = "was over before its broker could be stopped" if run else "failed"
                print(f"| {rate} | {client.name} | {what} | | | | | |", flush=True)
                continue
            appended = brokers.timestamps_ms(topic, job.records)
            brokers.delete(topic)
            start = min(when - number * 1000 / rate for number, when in enumerate(appended[:rate]))
            truth = quantiles(when - start - number * 1000 / rate for number, when in enumerate(appended))
            says = said(run.said)
            print(f"| {rate} | {client.name} | says | {says['records']} | {says['over_1s']} | {says['p50']} | {says['p99']} "
                  f"| {says['max']} |")
            print(f"|  | stopped for {stopper[0]:.1f} s | truth | {len(appended)} | {truth['over_1s']} | {truth['p50']:.0f} | {truth['p99']:.0f} "
                  f"| {truth['max']:.0f} |", flush=True)


def table_soak(arguments, brokers, kgen):
    """Memory over a long run, a sample every two seconds, and the proof of its ledger."""
    records, rate = int(10_000_000 * arguments.share), 5000
    topic = brokers.topic(replicas=1, **{"min.insync.replicas": "1"})
    print(f"table 5: {records} records of 1024 B at {rate}/s, idempotent, kgen alone; then its ledger is verified\n")
    with tempfile.TemporaryDirectory(prefix="kgen-bench-") as folder:
        job = Job(brokers.servers, topic, records, 1024, "all", idempotent=True, rate=rate, linger_ms=5)
        with open(os.path.join(folder, "out"), "w+") as out:
            child = subprocess.Popen(kgen.command(job, folder), cwd=folder, stdout=out, stderr=subprocess.STDOUT)
            samples = resident_mib(child)
            out.seek(0)
            _, summary = kgen.read(out.read(), folder)
        proof = subprocess.Popen([kgen.program, "consume", "--bootstrap-servers", brokers.servers, "--verify", summary["run"],
                                  "--json"], cwd=folder, stdout=subprocess.PIPE)
        reading = resident_mib(proof)
        proof = json.loads(proof.stdout.read())
    brokers.delete(topic)
    # The first minute fills the client's buffers.
    steady = [(at, mib) for at, mib in samples if at > min(60, samples[-1][0] / 4)]
    later = [(at, mib) for at, mib in steady if at > samples[-1][0] / 2]
    print("| what | value |\n|---|---|")
    rows = {"offered, acknowledged": f"{summary['offered']}, {summary['acknowledged']}",
            "rate reached": f"{summary['rate_reached']:.2f}/s",
            "client CPU": f"{summary['cpu_s'] / summary['acknowledged'] * 1e6:.2f} s per million records",
            "resident memory, producer": f"{min(mib for _, mib in steady):.1f} to {max(mib for _, mib in samples):.1f} MiB, "
                                         f"{len(samples)} samples",
            "its slope after the first minute": slope(steady),
            "its slope in the second half": slope(later),
            "resident memory, verify": f"at most {max(mib for _, mib in reading):.1f} MiB",
            "verified": ", ".join(f"{name} {proof[name]}" for name in ["read", "lost", "duplicates", "reordered", "corrupted"])}
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def slope(samples):
    """Growth of `samples`, by their medians of a minute, since samples two seconds apart are no samples of their own."""
    minutes = {}
    for at, mib in samples:
        minutes.setdefault(at // 60, []).append(mib)
    hours = [minute / 60 for minute in minutes]
    medians = [statistics.median(values) for values in minutes.values()]
    if len(medians) < 3:
        return "too short to tell"
    line = statistics.linear_regression(hours, medians)
    left = sum((mib - line.intercept - line.slope * hour) ** 2 for hour, mib in zip(hours, medians)) / (len(medians) - 2)
    error = (left / (statistics.pvariance(hours) * len(hours))) ** 0.5
    return f"{line.slope:+.2f} ± {1.96 * error:.2f} MiB an hour ({line.slope * (hours[-1] - hours[0]):+.2f} MiB in all)"


def resident_mib(child):
    """The memory of a process until it ends: seconds since now and MiB."""
    samples, started = [], time.monotonic()
    while child.poll() is None:
        with open(f"/proc/{child.pid}/statm") as statm:
            pages = int(statm.read().split()[1])
        if pages:
            samples.append((time.monotonic() - started, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))
        time.sleep(2)
    return samples


def said(report):
    """What a program reports, in the same words for all; a dash for what it does not tell."""
    if "response" in report:
        response = report["response"]
        return {"records": report["acknowledged"], "over_1s": report["over_1s"], "p50": f"{response['p50_ms']:.0f}",
                "p99": f"{response['p99_ms']:.0f}", "max": f"{response['max_ms']:.0f}"}
    told = {name: f"{report[name]:.0f}" if name in report else "–" for name in ["p50", "p99", "max", "over_1s"]}
    return {"records": f"{report.get('records', report.get('delivered', 0)):.0f}", **told}


if __name__ == "__main__":
    main()
