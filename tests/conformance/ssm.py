"""Drives Run Command of the lab with boto3 and holds every answer against the service model of Systems Manager.

Usage: ssm.py ENDPOINT_URL

The lab has instances with the tag role=client that run and have an instance profile. As in msk.py, every wait asks for a state.
"""

import json
import sys

import boto3
from botocore.config import Config

import msk
from msk import expect, refused, wait


def check_shape(value, shape, where):
    """Timestamps are seconds in this protocol, and numbers; all else is as in msk.py."""
    if shape.type_name == "timestamp":
        return expect(isinstance(value, (int, float)) and not isinstance(value, bool), f"{where}: {value!r} is no time")
    return shapes(value, shape, where)


# What is in a structure is checked by the same function.
shapes, msk.check_shape = msk.check_shape, check_shape


def before_parse(operation_model, response_dict, **_):
    name, status = operation_model.name, response_dict["status_code"]
    msk.checked[name] = msk.checked.get(name, 0) + 1
    headers = {key.lower(): value for key, value in response_dict["headers"].items()}
    expect(headers.get("x-amzn-requestid"), f"{name}: no request id")
    body = json.loads(response_dict["body"])
    if status >= 300:
        error = body.get("__type", "")
        expect([shape.name for shape in operation_model.error_shapes].count(error) == 1, f"{name}: does not know {error}")
        return
    expect(status == 200, f"{name}: status {status}")
    check_shape(body, operation_model.output_shape, name)


def main(endpoint):
    ssm = boto3.client(
        "ssm",
        endpoint_url=endpoint,
        region_name="us-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}),
    )
    ssm.meta.events.register("before-parse.ssm", before_parse)
    client = {"Key": "tag:role", "Values": ["client"]}
    known = ssm.describe_instance_information(Filters=[client])["InstanceInformationList"]
    ids = sorted(one["InstanceId"] for one in known)
    expect(len(ids) >= 2 and all(one["PingStatus"] == "Online" for one in known), f"instances are online: {known}")
    nobody = [{"Key": "tag:role", "Values": ["nobody"]}]
    expect(ssm.describe_instance_information(Filters=nobody)["InstanceInformationList"] == [], "nobody has that tag")

    def send(script, **more):
        arguments = {"Targets": [client], **more}
        command = ssm.send_command(DocumentName="AWS-RunShellScript", Parameters={"commands": [script]}, **arguments)
        return command["Command"]["CommandId"]

    def ended(command):
        def ask():
            found = ssm.list_commands(CommandId=command)["Commands"][0]
            return found if found["Status"] not in ("Pending", "InProgress", "Cancelling") else None

        return wait("the end of a command", ask)

    hello = send("echo $AWS_SSM_INSTANCE_ID; echo oh >&2; exit 3", MaxErrors="100%", Comment="hello")
    found = ended(hello)
    expect((found["Status"], found["ErrorCount"], found["TargetCount"]) == ("Failed", len(ids), len(ids)), f"{found}")
    for one in ids:
        result = ssm.get_command_invocation(CommandId=hello, InstanceId=one)
        got = (result["StandardOutputContent"], result["StandardErrorContent"], result["ResponseCode"])
        expect(got == (f"{one}\n", "oh\n", 3), f"{one} answers {got}")
    invocations = ssm.list_command_invocations(CommandId=hello, Details=True)["CommandInvocations"]
    expect(sorted(one["InstanceId"] for one in invocations) == ids, "every instance has an invocation")

    long = send("seq 20000", InstanceIds=ids[:1], Targets=[])
    ended(long)
    result = ssm.get_command_invocation(CommandId=long, InstanceId=ids[0])
    expect(len(result["StandardOutputContent"]) == 24000, f"{len(result['StandardOutputContent'])} characters came back")

    sleeping = send("sleep 600 & sleep 600; echo awake")
    wait("all of them under way", lambda: ssm.list_commands(CommandId=sleeping)["Commands"][0]["Status"] == "InProgress" or None)
    ssm.cancel_command(CommandId=sleeping)
    expect(ended(sleeping)["Status"] == "Cancelled", "a command is cancelled")

    run = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    refused("InvalidInstanceId", "i-0", ssm.send_command, InstanceIds=["i-01234567890abcdef"], **run)
    refused("InvalidDocument", "Mine", ssm.send_command, InstanceIds=ids[:1], DocumentName="Mine")
    unknown = "00000000-0000-0000-0000-000000000000"
    refused("InvalidCommandId", unknown, ssm.cancel_command, CommandId=unknown)
    refused("InvocationDoesNotExist", "i-0", ssm.get_command_invocation, CommandId=hello, InstanceId="i-01234567890abcdef")

    print(f"{sum(msk.checked.values())} answers of {len(msk.checked)} calls checked, {len(msk.failures)} failures")
    sys.exit(1 if msk.failures else 0)


if __name__ == "__main__":
    main(sys.argv[1])
