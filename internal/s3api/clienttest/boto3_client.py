"""boto3 against a server: its own round trips, its own checks. Arguments: endpoint, path of a scratch folder."""
import base64
import datetime
import hashlib
import os
import sys
import urllib.error
import urllib.request

import boto3
import botocore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, scratch = sys.argv[1:3]
modern = tuple(int(n) for n in botocore.__version__.split(".")[:2]) >= (1, 36)  # default checksums, If-Match as a parameter
config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1})
s3 = boto3.client("s3", endpoint_url=endpoint, config=config)


def refused(code, call, **args):
    try:
        call(**args)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, (code, e.response)
        assert e.response["ResponseMetadata"]["RequestId"], e.response
        return
    raise AssertionError(f"{call.__name__} {args} was not refused with {code}")


def body(**args):
    return s3.get_object(**args)["Body"].read()


def conditional(name, value, call, **args):
    """Sends a condition that old versions have no parameter for."""
    def add(params, **_):
        params["headers"][name] = value
    event = "before-call.s3." + "".join(w.title() for w in call.__name__.split("_"))
    s3.meta.events.register(event, add)
    try:
        return call(**args)
    finally:
        s3.meta.events.unregister(event, add)


def objects():
    s3.create_bucket(Bucket="box")
    put = s3.put_object(Bucket="box", Key="a b/ü+~", Body=b"hello", ContentType="text/x", Metadata={"m": "1"}, Tagging="t=1")
    assert put["ETag"] == '"%s"' % hashlib.md5(b"hello").hexdigest()
    assert int(put["ResponseMetadata"]["HTTPHeaders"]["x-stele-entry"]) > 0
    if modern:
        assert put["ChecksumCRC32"] == "NhCmhg==", put
    got = s3.get_object(Bucket="box", Key="a b/ü+~")
    got = (got["Body"].read(), got["ContentType"], got["Metadata"], got["TagCount"])
    assert got == (b"hello", "text/x", {"m": "1"}, 1), got
    assert body(Bucket="box", Key="a b/ü+~", Range="bytes=1-2") == b"el"
    for alg in ("CRC32", "CRC32C", "SHA1", "SHA256"):
        if alg == "CRC32C" and not modern:
            continue  # needs awscrt
        try:
            s3.put_object(Bucket="box", Key=alg, Body=b"x", ChecksumAlgorithm=alg)
        except botocore.exceptions.MissingDependencyException:
            continue  # as above
        head = s3.head_object(Bucket="box", Key=alg, ChecksumMode="ENABLED")
        assert head["Checksum" + alg], head
        assert s3.get_object(Bucket="box", Key=alg, ChecksumMode="ENABLED")["Body"].read() == b"x"
    s3.copy_object(Bucket="box", Key="copy", CopySource={"Bucket": "box", "Key": "a b/ü+~"})
    assert s3.head_object(Bucket="box", Key="copy")["Metadata"] == {"m": "1"}
    refused("NoSuchKey", s3.get_object, Bucket="box", Key="none")
    refused("404", s3.head_object, Bucket="box", Key="none")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="none")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket="box")
    for i in range(25):
        s3.put_object(Bucket="box", Key=f"many/{i:03}", Body=b"")
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="box", Prefix="many/", PaginationConfig={"PageSize": 10}))
    assert [o["Key"] for p in pages for o in p["Contents"]] == [f"many/{i:03}" for i in range(25)] and len(pages) == 3
    listed = s3.list_objects_v2(Bucket="box", Delimiter="/")
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["a b/", "many/"], listed
    gone = s3.delete_objects(Bucket="box", Delete={"Objects": [{"Key": f"many/{i:03}"} for i in range(25)]})
    assert len(gone["Deleted"]) == 25 and "Errors" not in gone
    assert s3.list_objects_v2(Bucket="box", Prefix="many/")["KeyCount"] == 0


def multipart():
    data = os.urandom(12 << 20)
    path = os.path.join(scratch, "large")
    with open(path, "wb") as f:
        f.write(data)
    s3.upload_file(path, "box", "large", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3))
    head = s3.head_object(Bucket="box", Key="large")
    assert head["ContentLength"] == len(data) and head["ETag"].endswith('-3"'), head
    s3.download_file("box", "large", path + ".back")
    with open(path + ".back", "rb") as f:
        assert f.read() == data
    assert body(Bucket="box", Key="large", PartNumber=2) == data[5 << 20:10 << 20]
    up = s3.create_multipart_upload(Bucket="box", Key="half")["UploadId"]
    s3.upload_part(Bucket="box", Key="half", UploadId=up, PartNumber=1, Body=b"x")
    assert [p["Size"] for p in s3.list_parts(Bucket="box", Key="half", UploadId=up)["Parts"]] == [1]
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket="box")["Uploads"]] == [up]
    s3.abort_multipart_upload(Bucket="box", Key="half", UploadId=up)
    refused("NoSuchUpload", s3.list_parts, Bucket="box", Key="half", UploadId=up)


def presigned():
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "box", "Key": "signed"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(url, data=b"signed body", method="PUT", headers={"Content-Type": ""})).close()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "box", "Key": "signed"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as r:
        assert r.read() == b"signed body"
    try:
        urllib.request.urlopen(url.replace("/signed?", "/copy?"))
        raise AssertionError("a presigned URL read another key")
    except urllib.error.HTTPError as e:
        assert e.code == 403, e
    form = s3.generate_presigned_post("box", "posted", Conditions=[["content-length-range", 1, 100]], ExpiresIn=60)
    assert form["fields"]["policy"]


def versions():
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket="versions", Key="k", Body=b)["VersionId"] for b in (b"one", b"two")]
    marker = s3.delete_object(Bucket="versions", Key="k")
    assert marker["DeleteMarker"]
    refused("NoSuchKey", s3.get_object, Bucket="versions", Key="k")
    assert body(Bucket="versions", Key="k", VersionId=ids[0]) == b"one"
    listed = s3.list_object_versions(Bucket="versions")
    assert [v["VersionId"] for v in listed["Versions"]] == ids[::-1] and listed["DeleteMarkers"][0]["IsLatest"]
    s3.delete_object(Bucket="versions", Key="k", VersionId=marker["VersionId"])
    assert body(Bucket="versions", Key="k") == b"two"


def conditions():
    one = conditional("If-None-Match", "*", s3.put_object, Bucket="box", Key="once", Body=b"1")
    for header, value in (("If-None-Match", "*"), ("If-Match", '"0123"')):
        try:
            conditional(header, value, s3.put_object, Bucket="box", Key="once", Body=b"2")
            raise AssertionError(f"{header} did not hold the put back")
        except ClientError as e:
            assert e.response["Error"]["Code"] == "PreconditionFailed", e.response
    conditional("If-Match", one["ETag"], s3.put_object, Bucket="box", Key="once", Body=b"2")
    assert body(Bucket="box", Key="once") == b"2"
    refused("PreconditionFailed", s3.get_object, Bucket="box", Key="once", IfMatch=one["ETag"])
    refused("304", s3.get_object, Bucket="box", Key="once", IfNoneMatch=s3.head_object(Bucket="box", Key="once")["ETag"])
    if modern:
        refused("PreconditionFailed", s3.put_object, Bucket="box", Key="once", Body=b"3", IfNoneMatch="*")


def locks():
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=1)
    v = s3.put_object(Bucket="locked", Key="k", Body=b"x", ContentMD5=md5(b"x"), ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    refused("AccessDenied", s3.delete_object, Bucket="locked", Key="k", VersionId=v)
    refused("AccessDenied", s3.put_object_retention, Bucket="locked", Key="k", VersionId=v, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until - datetime.timedelta(hours=1)})
    assert s3.get_object_retention(Bucket="locked", Key="k")["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    h = s3.put_object(Bucket="locked", Key="h", Body=b"x")["VersionId"]
    s3.put_object_legal_hold(Bucket="locked", Key="h", LegalHold={"Status": "ON"})
    refused("AccessDenied", s3.delete_object, Bucket="locked", Key="h", VersionId=h)
    s3.put_object_legal_hold(Bucket="locked", Key="h", LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket="locked", Key="h", VersionId=h)
    assert body(Bucket="locked", Key="k") == b"x"


def views():
    s3.create_bucket(Bucket="past")
    s3.put_object(Bucket="past", Key="k", Body=b"before")
    at = int(s3.put_object(Bucket="past", Key="gone", Body=b"x")["ResponseMetadata"]["HTTPHeaders"]["x-stele-entry"]) + 1
    s3.put_object(Bucket="past", Key="k", Body=b"after")
    s3.delete_object(Bucket="past", Key="gone")
    view = f"past--at-e{at}"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=view)["Contents"]] == ["gone", "k"]
    assert (body(Bucket=view, Key="k"), body(Bucket=view, Key="gone"), body(Bucket="past", Key="k")) == (b"before", b"x", b"after")
    refused("AccessDenied", s3.put_object, Bucket=view, Key="k", Body=b"forged")
    s3.copy_object(Bucket="past", Key="gone", CopySource={"Bucket": view, "Key": "gone"})
    assert body(Bucket="past", Key="gone") == b"x"


def like_aws():
    word = "=?UTF-8?B?" + base64.b64encode("grün".encode()).decode() + "?="
    s3.put_object(Bucket="box", Key="meta", Body=b"x", Metadata={"colour": word, "plain": "a b"}, StorageClass="STANDARD_IA")
    head = s3.head_object(Bucket="box", Key="meta")
    assert head["Metadata"] == {"colour": word, "plain": "a b"} and head["StorageClass"] == "STANDARD_IA", head
    assert [o["StorageClass"] for o in s3.list_objects_v2(Bucket="box", Prefix="meta")["Contents"]] == ["STANDARD_IA"]
    long = "long-" * 12 + "abc"  # 63 letters: its views have longer names
    s3.create_bucket(Bucket=long)
    at = int(s3.put_object(Bucket=long, Key="k", Body=b"before")["ResponseMetadata"]["HTTPHeaders"]["x-stele-entry"]) + 1
    s3.put_object(Bucket=long, Key="k", Body=b"after")
    assert body(Bucket=f"{long}--at-e{at}", Key="k") == b"before"
    s3.copy_object(Bucket=long, Key="back", CopySource={"Bucket": f"{long}--at-e{at}", "Key": "k"})
    assert body(Bucket=long, Key="back") == b"before"


def md5(b):
    return base64.b64encode(hashlib.md5(b).digest()).decode()


print("boto3", boto3.__version__, "botocore", botocore.__version__, "Python", sys.version.split()[0])
for part in (objects, multipart, presigned, versions, conditions, locks, views, like_aws):
    part()
    print("ok", part.__name__)
