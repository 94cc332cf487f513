"""Drives the lab's control plane with boto3 and holds every answer against MSK's service model.

Usage: msk.py ENDPOINT_URL

A member that the model does not know, one it requires and that is missing, a wrong JSON type, an unknown value of an
enumeration, a timestamp of another form: each is a failure, and so is an error of another type than expected. Brokers may
be real: every wait asks for a state, for at most WAIT_SECONDS.
"""

import base64
import json
import re
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

WAIT_SECONDS = 300
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

failures = []
checked = {}


def fail(text):
    failures.append(text)
    print(f"FAILED  {text}", flush=True)


def expect(condition, text):
    if not condition:
        fail(text)


def check_shape(value, shape, where):
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return fail(f"{where}: {value!r} is no object")
        members = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        for key, inner in value.items():
            if key not in members:
                fail(f"{where}.{key}: not in {shape.name}")
            else:
                check_shape(inner, members[key][1], f"{where}.{key}")
        for key, (name, _) in members.items():
            if name in shape.required_members and key not in value:
                fail(f"{where}.{key}: required in {shape.name}, and missing")
    elif kind == "list":
        if not isinstance(value, list):
            return fail(f"{where}: {value!r} is no list")
        for i, inner in enumerate(value):
            check_shape(inner, shape.member, f"{where}[{i}]")
    elif kind == "map":
        if not isinstance(value, dict):
            return fail(f"{where}: {value!r} is no map")
        for key, inner in value.items():
            check_shape(inner, shape.value, f"{where}[{key}]")
    elif kind == "timestamp":
        expect(isinstance(value, str) and TIMESTAMP.fullmatch(value), f"{where}: {value!r} is no timestamp")
    elif kind == "boolean":
        expect(isinstance(value, bool), f"{where}: {value!r} is no boolean")
    elif kind in ("integer", "long"):
        expect(isinstance(value, int) and not isinstance(value, bool), f"{where}: {value!r} is no integer")
    elif kind in ("double", "float"):
        expect(isinstance(value, float), f"{where}: {value!r} is no double")
    elif kind in ("string", "blob"):
        expect(isinstance(value, str), f"{where}: {value!r} is no string")
        values = getattr(shape, "enum", None)
        expect(not values or value in values, f"{where}: {value!r} is none of {values}")
    else:
        fail(f"{where}: the model's type {kind} is not checked here")


def before_parse(operation_model, response_dict, **_):
    """Runs on every answer, before botocore reads it and drops what it does not know."""
    name, status = operation_model.name, response_dict["status_code"]
    checked[name] = checked.get(name, 0) + 1
    body = response_dict["body"]
    headers = {key.lower(): value for key, value in response_dict["headers"].items()}
    expect(headers.get("x-amzn-requestid"), f"{name}: no request id")
    if status >= 300:
        error = headers.get("x-amzn-errortype", "")
        shape = operation_model.service_model.shape_for(error)
        expect(shape.metadata.get("error", {}).get("httpStatusCode") == status, f"{name}: {error} with status {status}")
        expect([s.name for s in operation_model.error_shapes].count(error) == 1, f"{name}: does not know {error}")
        return check_shape(json.loads(body), shape, name)
    expect(status == operation_model.http.get("responseCode", 200), f"{name}: status {status}")
    if operation_model.output_shape is None:
        return expect(not body, f"{name}: a body where none is due")
    check_shape(json.loads(body), operation_model.output_shape, name)


def refused(code, words, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]
        expect(got["Code"] == code, f"{error}: {code} expected")
        expect(words in got["Message"], f"{error}: {words!r} expected in it")
        return
    fail(f"accepted {arguments}: {code} expected")


def wait(what, ask):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(0.1)
    sys.exit(f"{what} did not come within {WAIT_SECONDS} s")


def main(endpoint):
    kafka = boto3.client(
        "kafka",
        endpoint_url=endpoint,
        region_name="us-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}),
    )
    kafka.meta.events.register("before-parse.kafka", before_parse)
    name = "conformance"

    configuration = kafka.create_configuration(
        Name=name, KafkaVersions=["3.9.x"], ServerProperties=b"num.partitions=3\n", Description="first"
    )
    refused("ConflictException", "already exists", kafka.create_configuration, Name=name, ServerProperties=b"")
    refused("BadRequestException", "listeners", kafka.create_configuration, Name="x", ServerProperties=b"listeners=a")
    arn = configuration["Arn"]
    kafka.update_configuration(Arn=arn, ServerProperties=b"num.partitions=6\n", Description="second")
    expect(kafka.describe_configuration(Arn=arn)["LatestRevision"]["Revision"] == 2, "a revision is counted")
    revision = kafka.describe_configuration_revision(Arn=arn, Revision=2)
    expect(revision["ServerProperties"] == b"num.partitions=6\n", "a revision keeps its properties")
    refused("BadRequestException", "7", kafka.describe_configuration_revision, Arn=arn, Revision=7)
    kafka.list_configurations()
    first = kafka.list_configuration_revisions(Arn=arn, MaxResults=1)
    second = kafka.list_configuration_revisions(Arn=arn, MaxResults=1, NextToken=first["NextToken"])
    expect("NextToken" not in second, "a list ends")

    wanted = dict(
        ClusterName=name,
        KafkaVersion="3.8.x",
        NumberOfBrokerNodes=3,
        BrokerNodeGroupInfo={"ClientSubnets": ["subnet-1", "subnet-2", "subnet-3"], "InstanceType": "kafka.t3.small"},
        ConfigurationInfo={"Arn": arn, "Revision": 1},
        ClientAuthentication={"Unauthenticated": {"Enabled": True}, "Sasl": {"Scram": {"Enabled": True}}},
        EncryptionInfo={"EncryptionInTransit": {"ClientBroker": "TLS_PLAINTEXT"}},
        Tags={"stage": "lab"},
    )
    bad = [
        ("multiple", {"NumberOfBrokerNodes": 4}),
        ("3.8.x.kraft", {"KafkaVersion": "3.8.x.kraft"}),
        ("9.9", {"KafkaVersion": "9.9"}),
        ("name", {"ClusterName": "a b"}),
        ("revision 9", {"ConfigurationInfo": {"Arn": arn, "Revision": 9}}),
        ("kafka.t3.small", {"BrokerNodeGroupInfo": {"ClientSubnets": ["a", "b", "c"], "InstanceType": "kafka.t3.smal"}}),
    ]
    for words, change in bad:
        refused("BadRequestException", words, kafka.create_cluster, **{**wanted, **change})
    expect(kafka.list_clusters(ClusterNameFilter=name)["ClusterInfoList"] == [], "a refused cluster is not there")
    cluster = kafka.create_cluster(**wanted)["ClusterArn"]
    refused("ConflictException", "already exists", kafka.create_cluster, **wanted)

    def info():
        return kafka.describe_cluster(ClusterArn=cluster)["ClusterInfo"]

    def active():
        state = kafka.describe_cluster_v2(ClusterArn=cluster)["ClusterInfo"]["State"]
        if state not in ("CREATING", "ACTIVE"):
            sys.exit(f"the cluster is {state}: {info().get('StateInfo')}")
        return state == "ACTIVE" or None

    kafka.get_bootstrap_brokers(ClusterArn=cluster)
    wait("ACTIVE", active)
    brokers = kafka.get_bootstrap_brokers(ClusterArn=cluster)["BootstrapBrokerString"].split(",")
    expect(len(brokers) == 3, f"three brokers: {brokers}")
    expect(len(kafka.list_nodes(ClusterArn=cluster)["NodeInfoList"]) == 3, "three nodes")
    kafka.list_clusters_v2()
    kafka.list_kafka_versions()
    kafka.get_compatible_kafka_versions(ClusterArn=cluster)
    refused("BadRequestException", "configuration is in use", kafka.delete_configuration, Arn=arn)

    expect(kafka.list_scram_secrets(ClusterArn=cluster)["SecretArnList"] == [], "no secrets at first")
    wrong = ["nonsense", "arn:aws:secretsmanager:us-west-2:123456789012:secret:mine-AbCdEf"]
    for call in (kafka.batch_associate_scram_secret, kafka.batch_disassociate_scram_secret):
        unprocessed = call(ClusterArn=cluster, SecretArnList=wrong)["UnprocessedScramSecrets"]
        expect([each["SecretArn"] for each in unprocessed] == wrong, f"{call.__name__}: {unprocessed}")
        refused("BadRequestException", "1 to 10", call, ClusterArn=cluster, SecretArnList=wrong * 6)

    versions = {info()["CurrentVersion"]}

    def done(call, **change):
        """An update to its end: its cluster ACTIVE, with a version nobody has seen, as soon as the operation is complete."""
        version = info()["CurrentVersion"]
        stamp = {} if call == kafka.reboot_broker else {"CurrentVersion": version}
        operation = call(ClusterArn=cluster, **stamp, **change)["ClusterOperationArn"]
        again = call(ClusterArn=cluster, **stamp, **change)["ClusterOperationArn"]
        expect(again == operation, f"{call.__name__}: a repeated request is the same operation")

        def ended():
            seen = kafka.describe_cluster_operation(ClusterOperationArn=operation)["ClusterOperationInfo"]
            return None if seen["OperationState"] in ("PENDING", "UPDATE_IN_PROGRESS") else seen

        seen = wait("the end of the operation", ended)
        after = info()
        expect(seen["OperationState"] == "UPDATE_COMPLETE", f"{call.__name__}: {seen}")
        expect(after["State"] == "ACTIVE", f"{call.__name__}: {after['State']} after it is complete")
        expect(after["CurrentVersion"] not in versions, f"{call.__name__}: the version stayed")
        versions.add(after["CurrentVersion"])
        kafka.describe_cluster_operation_v2(ClusterOperationArn=operation)
        return after

    refused(
        "BadRequestException",
        "isn't current",
        kafka.update_broker_type,
        ClusterArn=cluster,
        CurrentVersion="KSTALE",
        TargetInstanceType="kafka.m5.large",
    )
    for words, target in [("already", "kafka.t3.small"), ("Express", "express.m7g.large"), ("m9", "kafka.m9.large")]:
        refused(
            "BadRequestException",
            words,
            kafka.update_broker_type,
            ClusterArn=cluster,
            CurrentVersion=info()["CurrentVersion"],
            TargetInstanceType=target,
        )
    after = done(kafka.update_broker_type, TargetInstanceType="kafka.m5.large")
    expect(after["BrokerNodeGroupInfo"]["InstanceType"] == "kafka.m5.large", "the type changed")
    same = kafka.get_bootstrap_brokers(ClusterArn=cluster)["BootstrapBrokerString"].split(",")
    expect(sorted(same) == sorted(brokers), "brokers keep their addresses")
    refused(
        "BadRequestException",
        "T3",
        kafka.update_broker_type,
        ClusterArn=cluster,
        CurrentVersion=after["CurrentVersion"],
        TargetInstanceType="kafka.t3.small",
    )
    volume = [{"KafkaBrokerNodeId": "All", "VolumeSizeGB": 1200}]
    done(kafka.update_broker_storage, TargetBrokerEBSVolumeInfo=volume)
    volume[0]["VolumeSizeGB"] = 100
    refused(
        "BadRequestException",
        "only grow",
        kafka.update_broker_storage,
        ClusterArn=cluster,
        CurrentVersion=info()["CurrentVersion"],
        TargetBrokerEBSVolumeInfo=volume,
    )
    after = done(kafka.update_monitoring, EnhancedMonitoring="PER_BROKER")
    expect(after["EnhancedMonitoring"] == "PER_BROKER", "the monitoring changed")
    after = done(kafka.update_cluster_configuration, ConfigurationInfo={"Arn": arn, "Revision": 2})
    expect(after["CurrentBrokerSoftwareInfo"]["ConfigurationRevision"] == 2, "the revision changed")
    done(kafka.update_cluster_kafka_version, TargetKafkaVersion="3.9.x")
    done(kafka.update_security, EncryptionInfo={"EncryptionInTransit": {"ClientBroker": "PLAINTEXT"}})
    done(kafka.reboot_broker, BrokerIds=["2"])
    after = done(kafka.update_broker_count, TargetNumberOfBrokerNodes=6)
    expect(len(kafka.list_nodes(ClusterArn=cluster)["NodeInfoList"]) == 6, "six nodes")

    made = f"conformance-{int(time.time())}"
    settings = base64.b64encode(b"retention.ms=604800000").decode()
    kafka.create_topic(ClusterArn=cluster, TopicName=made, PartitionCount=3, ReplicationFactor=3, Configs=settings)
    refused(
        "TopicExistsException",
        "already exists",
        kafka.create_topic,
        ClusterArn=cluster,
        TopicName=made,
        PartitionCount=3,
        ReplicationFactor=3,
    )
    listed = kafka.list_topics(ClusterArn=cluster, TopicNameFilter=made)["Topics"]
    expect([(t["TopicName"], t["PartitionCount"], t["ReplicationFactor"]) for t in listed] == [(made, 3, 3)], f"{listed}")
    described = kafka.describe_topic(ClusterArn=cluster, TopicName=made)
    expect(b"retention.ms=604800000" in base64.b64decode(described["Configs"]), f"a topic keeps its settings: {described}")
    first = kafka.describe_topic_partitions(ClusterArn=cluster, TopicName=made, MaxResults=2)
    rest = kafka.describe_topic_partitions(ClusterArn=cluster, TopicName=made, NextToken=first["NextToken"])
    numbers = [p["Partition"] for p in first["Partitions"] + rest["Partitions"]]
    expect(numbers == [0, 1, 2] and "NextToken" not in rest, f"every partition once: {numbers}")
    expect(all(len(p["Replicas"]) == 3 and p["Leader"] in p["Replicas"] for p in first["Partitions"]), f"{first}")
    kafka.update_topic(ClusterArn=cluster, TopicName=made, Configs=settings)
    for call in (kafka.describe_topic, kafka.describe_topic_partitions, kafka.delete_topic):
        refused("NotFoundException", "does not exist", call, ClusterArn=cluster, TopicName="absent")
    kafka.delete_topic(ClusterArn=cluster, TopicName=made)

    serverless = kafka.create_cluster_v2(
        ClusterName="conformance-serverless", Serverless={"VpcConfigs": [{"SubnetIds": ["subnet-1", "subnet-2"]}]}
    )["ClusterArn"]
    shown = kafka.describe_cluster_v2(ClusterArn=serverless)["ClusterInfo"]
    expect(shown["ClusterType"] == "SERVERLESS" and "Provisioned" not in shown, f"a serverless cluster is one: {shown}")
    refused("BadRequestException", "serverless", kafka.list_topics, ClusterArn=serverless)
    refused("BadRequestException", "serverless", kafka.list_nodes, ClusterArn=serverless)

    def serverless_is_active():
        state = kafka.describe_cluster_v2(ClusterArn=serverless)["ClusterInfo"]["State"]
        return state == "ACTIVE" or None

    wait("ACTIVE", serverless_is_active)
    kafka.delete_cluster(ClusterArn=serverless)
    for words, count in [("can only be expanded", 6), ("multiple", 7), ("at most", 33)]:
        refused(
            "BadRequestException",
            words,
            kafka.update_broker_count,
            ClusterArn=cluster,
            CurrentVersion=after["CurrentVersion"],
            TargetNumberOfBrokerNodes=count,
        )
    pages = list(kafka.get_paginator("list_cluster_operations").paginate(ClusterArn=cluster, PaginationConfig={"PageSize": 3}))
    operations = [operation for page in pages for operation in page["ClusterOperationInfoList"]]
    expect(len(pages) == 3 and len(operations) == 8, f"eight operations in three pages: {len(operations)}")
    kafka.list_cluster_operations_v2(ClusterArn=cluster)

    kafka.tag_resource(ResourceArn=cluster, Tags={"a b": "c&d", "stage": "test"})
    kafka.untag_resource(ResourceArn=cluster, TagKeys=["a b", "absent"])
    expect(kafka.list_tags_for_resource(ResourceArn=cluster)["Tags"] == {"stage": "test"}, "tags are set and removed")

    other = cluster.replace("conformance", "nobody")
    refused("NotFoundException", "does not exist", kafka.describe_cluster, ClusterArn=other)
    refused("BadRequestException", "ARN", kafka.describe_cluster, ClusterArn="nonsense")

    kafka.delete_cluster(ClusterArn=cluster)

    def gone():
        try:
            kafka.describe_cluster_v2(ClusterArn=cluster)
        except kafka.exceptions.NotFoundException:
            return True

    wait("404", gone)
    kafka.delete_configuration(Arn=arn)
    refused("BadRequestException", "Configuration ARN does not exist", kafka.describe_configuration, Arn=arn)

    print(f"{sum(checked.values())} answers of {len(checked)} calls checked, {len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(sys.argv[1])
