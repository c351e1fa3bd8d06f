"""Signed heads as objects of a bucket with Object Lock, in compliance mode: until a date nobody can remove them.

One object a head, named by its content. Writing over one, or deleting it, makes a newer version or a marker; the locked
version stays, and `lines` reads every version there is. Credentials, region and endpoint are boto3's own (AWS_…).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed, TidegateError

#: A head is some 400 bytes; what is larger is none. And so many heads are read at most.
MOST_BYTES, MOST_OBJECTS = 64 * 1024, 100_000
_ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9._/-]*))?")
_SECONDS, _TRIES = 20, 3


class S3Lock:
    """The heads below ``s3://BUCKET/PREFIX``."""

    def __init__(self, address: str) -> None:
        """Open the bucket.

        Raises:
            BadInput: no address of a bucket, no such bucket, or one without Object Lock; no credentials, no boto3.
            DependencyFailed: it does not answer, or refuses.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise BadInput(
                "bad-address", f"got {address!r}, expected s3://BUCKET or s3://BUCKET/PREFIX", "name one"
            )
        self._bucket = found["bucket"]
        prefix = (found["prefix"] or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        with self._told("open"):
            self._client = _client()
            lock = self._client.get_object_lock_configuration(Bucket=self._bucket)
        if lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise self._unlocked()

    def append(self, line: str, until: datetime) -> str:
        """Keep a head until a moment, and return the object's key. The same head again makes another version.

        Raises:
            DependencyFailed: it cannot be written, or not locked. BadInput: as on opening.
        """
        body = line.encode()
        key = f"{self._prefix}head-{sha256(body).removeprefix('sha256:')[:16]}.json"
        with self._told("write to"):
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",  # S3 takes no locked object without a checksum
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=until,
            )
        return key

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Return every version of every head, by key and version; none where nobody kept any.

        Raises:
            DependencyFailed: they cannot be read, or are too many. BadInput: as on opening.
        """
        with self._told("read"):
            return {f"{key} ({version})": (self._read(key, version),) for key, version in self._versions()}

    def _versions(self) -> Iterator[tuple[str, str]]:
        pages = self._client.get_paginator("list_object_versions")
        count = 0
        for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}head-"):
            for each in page.get("Versions", ()):
                count += 1
                if count > MOST_OBJECTS:
                    raise DependencyFailed(
                        "too-many-heads",
                        f"got more than {MOST_OBJECTS} versions in {self._bucket}, expected a head each time",
                        "keep heads under a prefix of their own",
                    )
                yield str(each["Key"]), str(each["VersionId"])

    def _read(self, key: str, version: str) -> str:
        answer = self._client.get_object(Bucket=self._bucket, Key=key, VersionId=version)
        body: bytes = answer["Body"].read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise BadInput(
                "too-large", f"got {key} with more than {MOST_BYTES} bytes", "name the right prefix"
            )
        return body.decode(errors="replace")

    def _unlocked(self) -> BadInput:
        return BadInput(
            "no-object-lock",
            f"got the bucket {self._bucket} without Object Lock, expected one that was made with it",
            "whoever may delete objects could delete heads: make a bucket with Object Lock",
        )

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn what boto3 says into one sentence, without addresses and keys."""
        try:
            yield
        except (BadInput, DependencyFailed):
            raise
        except ImportError as error:
            raise BadInput(
                "no-client", "got an S3 address, expected boto3 to be installed", "pip install 'tidegate[s3]'"
            ) from error
        except Exception as error:
            raise self._explained(what, error) from error

    def _explained(self, what: str, error: Exception) -> TidegateError:
        answer = getattr(error, "response", None)
        code = str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""
        if code == "ObjectLockConfigurationNotFoundError":
            return self._unlocked()
        if code == "NoSuchBucket":
            return BadInput(
                "no-bucket", f"got the bucket {self._bucket}, which is not there", "name one that is"
            )
        name = type(error).__name__
        if name in {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "NoRegionError"}:
            return BadInput(
                "no-credentials",
                f"got no credentials or region for S3 ({name})",
                "set them as boto3 reads them (AWS_…)",
            )
        return DependencyFailed(
            "bucket-failed",
            f"could not {what} the bucket {self._bucket}: {code or name}",
            "see that it answers, and that these credentials may use it",
        )


def _client() -> Any:
    import boto3
    from botocore.config import Config

    patience = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": _TRIES})
    # A session of its own: the module's keeps the credentials that it found first.
    return boto3.session.Session().client("s3", config=patience)
