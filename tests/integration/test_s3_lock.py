"""Heads in a bucket with Object Lock: kept until their date, whatever is done to the bucket meanwhile.

The bucket is moto's, an S3 in a process of ours on loopback; the client is boto3, as in production.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from tidegate.adapters.s3_lock import S3Lock
from tidegate.domain.errors import BadInput, DependencyFailed

UNTIL = datetime(2199, 1, 1, tzinfo=UTC)
BUCKET, PLAIN = "tidegate-heads", "tidegate-plain"
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "not-so-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def address():
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(address, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    return {**ACCOUNT, "AWS_ENDPOINT_URL": address}


@pytest.fixture
def client(account):
    client = boto3.client("s3")
    known = {each["Name"] for each in client.list_buckets()["Buckets"]}
    if BUCKET not in known:
        client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        client.create_bucket(Bucket=PLAIN)
    return client


@pytest.fixture
def prefix(request):
    """A place of the test's own: what is locked cannot be cleared away."""
    return f"t{abs(hash(request.node.nodeid)) % 10**9}"


@pytest.fixture
def box(client, prefix):
    return S3Lock(f"s3://{BUCKET}/{prefix}")


def said(box):
    return sorted(line for lines in box.lines().values() for line in lines)


def test_a_head_is_locked_until_its_date_in_compliance_mode(box, client):
    key = box.append('{"a":1}', UNTIL)
    kept = client.head_object(Bucket=BUCKET, Key=key)
    assert (kept["ObjectLockMode"], kept["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", UNTIL)
    assert said(box) == ['{"a":1}']


def test_whoever_deletes_it_or_writes_over_it_leaves_it_there_to_be_found(box, client):
    key = box.append('{"a":1}', UNTIL)
    (version,) = [
        each["VersionId"] for each in client.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]
    ]
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
    client.delete_object(Bucket=BUCKET, Key=key)
    assert said(box) == ['{"a":1}'], "a marker hides it from who lists objects, not from us"
    client.put_object(Bucket=BUCKET, Key=key, Body=b'{"a":2}')
    assert said(box) == ['{"a":1}', '{"a":2}'], "the verifier sees both, and that one is not signed"


def test_several_heads_are_several_objects_and_the_same_one_again_is_another_version(box):
    keys = [box.append(line, UNTIL) for line in ("one", "two é 🌊", "one")]
    assert keys[0] == keys[2] != keys[1]
    assert said(box) == ["one", "one", "two é 🌊"]


def test_where_nobody_kept_any_there_is_nothing_and_other_objects_are_none(box, client, prefix):
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/notes.txt", Body=b"mine")
    assert box.lines() == {}


def test_an_object_that_is_no_head_s_size_is_not_read_whole(box, client, prefix):
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/head-large.json", Body=b"x" * (64 * 1024 + 1))
    with pytest.raises(BadInput, match="more than 65536 bytes"):
        box.lines()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (f"s3://{PLAIN}", "no-object-lock"),
        ("s3://tidegate-nowhere", "no-bucket"),
        ("https://example.org/x", "bad-address"),
        ("s3://", "bad-address"),
        ("s3://A_B/x", "bad-address"),
        (f"s3://{BUCKET}/../x?y", "bad-address"),
    ],
)
def test_a_place_where_heads_could_be_deleted_or_that_is_none_is_bad_input(client, given, code):
    with pytest.raises(BadInput) as caught:
        S3Lock(given)
    assert caught.value.code == code


def test_without_credentials_or_boto3_it_is_said_what_is_missing(account, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BadInput) as caught:
        S3Lock(f"s3://{BUCKET}")
    assert caught.value.code == "no-credentials"
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(BadInput) as caught:
        S3Lock(f"s3://{BUCKET}")
    assert (caught.value.code, caught.value.hint) == ("no-client", "pip install 'tidegate[s3]'")


def test_a_bucket_that_does_not_answer_is_a_sentence_without_address_and_secret(account, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DependencyFailed) as caught:
        S3Lock(f"s3://{BUCKET}")
    assert caught.value.code == "bucket-failed"
    assert caught.value.sentence == f"could not open the bucket {BUCKET}: EndpointConnectionError"
    assert "not-so-secret" not in str(caught.value.as_dict())


def test_the_commands_lock_the_head_and_hold_the_chain_against_all_that_were_locked(
    empty, client, account, prefix, tmp_path
):
    place, out = f"s3://{BUCKET}/{prefix}", tmp_path / "kept"
    empty.run("open", **account)
    told = json.loads(
        empty.run(
            "audit", "anchor", "--as", "aude", "--to", str(out), "--s3", place, "--json", **account
        ).stdout
    )
    kept = client.head_object(Bucket=BUCKET, Key=told["object"])["ObjectLockRetainUntilDate"]
    assert timedelta(days=3649) < kept - datetime.now(UTC) <= timedelta(days=3650)
    key = str(out / "ledger.pub")
    sound = empty.run("audit", "verify", "--s3", place, "--key", key, **account)
    assert (sound.returncode, "held against its anchor" in sound.stdout) == (0, True), (
        sound.stdout + sound.stderr
    )
    nothing = empty.run("audit", "verify", "--s3", f"{place}/nowhere", "--key", key, **account)
    assert (nothing.returncode, "which holds no head" in nothing.stderr) == (2, True)
    forged = {**told, "signature": told["signature"][::-1]}
    client.put_object(Bucket=BUCKET, Key=told["object"], Body=json.dumps(forged).encode())
    broken = empty.run("audit", "verify", "--s3", place, "--key", key, **account)
    assert broken.returncode == 1
    assert "its signature does not belong to this key" in broken.stdout
