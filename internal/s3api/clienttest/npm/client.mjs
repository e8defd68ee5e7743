// @aws-sdk/client-s3 against a server: its own round trips, its own checks. Argument: endpoint.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import * as aws from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const headers = {}; // of the last reply
const client = new aws.S3Client({ endpoint: process.argv[2], region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });
client.middlewareStack.add((next) => async (args) => {
  const result = await next(args);
  Object.assign(headers, result.response.headers);
  return result;
}, { step: "deserialize" });

const call = (name, input) => client.send(new aws[name + "Command"](input));
const body = async (input) => (await call("GetObject", input)).Body.transformToString();
const refused = (code, name, input) => assert.rejects(call(name, input), (e) => {
  assert.equal(e.name, code, `${name}: ${e.name}: ${e.message}`);
  assert.ok(e.$metadata.requestId);
  return true;
});

async function objects() {
  await call("CreateBucket", { Bucket: "box" });
  const put = await call("PutObject", { Bucket: "box", Key: "a b/ü+~", Body: "hello", ContentType: "text/x", Metadata: { m: "1" }, Tagging: "t=1" });
  assert.equal(put.ETag, `"${createHash("md5").update("hello").digest("hex")}"`);
  assert.equal(put.ChecksumCRC32, "NhCmhg=="); // its default
  const got = await call("GetObject", { Bucket: "box", Key: "a b/ü+~" });
  assert.deepEqual([await got.Body.transformToString(), got.ContentType, got.Metadata, got.TagCount], ["hello", "text/x", { m: "1" }, 1]);
  assert.equal(await body({ Bucket: "box", Key: "a b/ü+~", Range: "bytes=1-2" }), "el");
  for (const alg of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
    await call("PutObject", { Bucket: "box", Key: alg, Body: "x", ChecksumAlgorithm: alg });
    const head = await call("HeadObject", { Bucket: "box", Key: alg, ChecksumMode: "ENABLED" });
    assert.ok(head["Checksum" + alg], alg);
    assert.equal(await body({ Bucket: "box", Key: alg, ChecksumMode: "ENABLED" }), "x");
  }
  await call("CopyObject", { Bucket: "box", Key: "copy", CopySource: "box/" + encodeURIComponent("a b/ü+~") });
  assert.deepEqual((await call("HeadObject", { Bucket: "box", Key: "copy" })).Metadata, { m: "1" });
  const attributes = await call("GetObjectAttributes", { Bucket: "box", Key: "copy", ObjectAttributes: ["ObjectSize", "ETag"] });
  assert.equal(attributes.ObjectSize, 5);
  await refused("NoSuchKey", "GetObject", { Bucket: "box", Key: "none" });
  await refused("NotFound", "HeadObject", { Bucket: "box", Key: "none" });
  await refused("NoSuchBucket", "ListObjectsV2", { Bucket: "none" });
  await refused("BucketNotEmpty", "DeleteBucket", { Bucket: "box" });
  const keys = Array.from({ length: 25 }, (_, i) => `many/${String(i).padStart(3, "0")}`);
  for (const Key of keys) await call("PutObject", { Bucket: "box", Key, Body: "" });
  const listed = [];
  for await (const page of aws.paginateListObjectsV2({ client, pageSize: 10 }, { Bucket: "box", Prefix: "many/" })) listed.push(...page.Contents.map((o) => o.Key));
  assert.deepEqual(listed, keys);
  const top = await call("ListObjectsV2", { Bucket: "box", Delimiter: "/" });
  assert.deepEqual(top.CommonPrefixes.map((p) => p.Prefix), ["a b/", "many/"]);
  const gone = await call("DeleteObjects", { Bucket: "box", Delete: { Objects: keys.map((Key) => ({ Key })) } });
  assert.equal(gone.Deleted.length, 25);
  assert.equal((await call("ListObjectsV2", { Bucket: "box", Prefix: "many/" })).KeyCount, 0);
}

async function multipart() {
  const data = randomBytes(12 << 20);
  await new Upload({ client, params: { Bucket: "box", Key: "large", Body: data }, partSize: 5 << 20, queueSize: 3 }).done();
  const head = await call("HeadObject", { Bucket: "box", Key: "large" });
  assert.equal(head.ContentLength, data.length);
  assert.match(head.ETag, /-3"$/);
  const back = await (await call("GetObject", { Bucket: "box", Key: "large" })).Body.transformToByteArray();
  assert.ok(data.equals(back));
  const { UploadId } = await call("CreateMultipartUpload", { Bucket: "box", Key: "half" });
  await call("UploadPart", { Bucket: "box", Key: "half", UploadId, PartNumber: 1, Body: "x" });
  assert.deepEqual((await call("ListParts", { Bucket: "box", Key: "half", UploadId })).Parts.map((p) => p.Size), [1]);
  await call("AbortMultipartUpload", { Bucket: "box", Key: "half", UploadId });
  await refused("NoSuchUpload", "ListParts", { Bucket: "box", Key: "half", UploadId });
}

async function presigned() {
  const sign = (name, Key) => getSignedUrl(client, new aws[name + "Command"]({ Bucket: "box", Key }), { expiresIn: 60 });
  const put = await fetch(await sign("PutObject", "signed"), { method: "PUT", body: "signed body" });
  assert.equal(put.status, 200, await put.text());
  const url = await sign("GetObject", "signed");
  assert.equal(await (await fetch(url)).text(), "signed body");
  const other = await fetch(url.replace("/signed?", "/copy?"));
  assert.equal(other.status, 403, await other.text());
}

async function versions() {
  await call("CreateBucket", { Bucket: "versions" });
  await call("PutBucketVersioning", { Bucket: "versions", VersioningConfiguration: { Status: "Enabled" } });
  const ids = [];
  for (const Body of ["one", "two"]) ids.push((await call("PutObject", { Bucket: "versions", Key: "k", Body })).VersionId);
  const marker = await call("DeleteObject", { Bucket: "versions", Key: "k" });
  assert.ok(marker.DeleteMarker);
  await refused("NoSuchKey", "GetObject", { Bucket: "versions", Key: "k" });
  assert.equal(await body({ Bucket: "versions", Key: "k", VersionId: ids[0] }), "one");
  const listed = await call("ListObjectVersions", { Bucket: "versions" });
  assert.deepEqual(listed.Versions.map((v) => v.VersionId), ids.reverse());
  await call("DeleteObject", { Bucket: "versions", Key: "k", VersionId: marker.VersionId });
  assert.equal(await body({ Bucket: "versions", Key: "k" }), "two");
}

async function conditions() {
  const once = { Bucket: "box", Key: "once" };
  const one = await call("PutObject", { ...once, Body: "1", IfNoneMatch: "*" });
  await refused("PreconditionFailed", "PutObject", { ...once, Body: "2", IfNoneMatch: "*" });
  await refused("PreconditionFailed", "PutObject", { ...once, Body: "2", IfMatch: '"0123"' });
  await call("PutObject", { ...once, Body: "2", IfMatch: one.ETag });
  assert.equal(await body(once), "2");
  await refused("PreconditionFailed", "GetObject", { ...once, IfMatch: one.ETag });
  await refused("PreconditionFailed", "DeleteObject", { ...once, IfMatch: one.ETag });
  const races = await Promise.allSettled(Array.from({ length: 16 }, (_, i) => call("PutObject", { Bucket: "box", Key: "race", Body: String(i), IfNoneMatch: "*" })));
  assert.equal(races.filter((r) => r.status === "fulfilled").length, 1);
}

async function locks() {
  await call("CreateBucket", { Bucket: "locked", ObjectLockEnabledForBucket: true });
  const until = new Date(Math.floor(Date.now() / 1000) * 1000 + 86400_000);
  const { VersionId } = await call("PutObject", { Bucket: "locked", Key: "k", Body: "x", ObjectLockMode: "COMPLIANCE", ObjectLockRetainUntilDate: until });
  await refused("AccessDenied", "DeleteObject", { Bucket: "locked", Key: "k", VersionId });
  await refused("AccessDenied", "PutObjectRetention", { Bucket: "locked", Key: "k", VersionId, Retention: { Mode: "COMPLIANCE", RetainUntilDate: new Date(until - 3600_000) } });
  assert.deepEqual((await call("GetObjectRetention", { Bucket: "locked", Key: "k" })).Retention, { Mode: "COMPLIANCE", RetainUntilDate: until });
  const held = await call("PutObject", { Bucket: "locked", Key: "h", Body: "x" });
  await call("PutObjectLegalHold", { Bucket: "locked", Key: "h", LegalHold: { Status: "ON" } });
  await refused("AccessDenied", "DeleteObject", { Bucket: "locked", Key: "h", VersionId: held.VersionId });
  await call("PutObjectLegalHold", { Bucket: "locked", Key: "h", LegalHold: { Status: "OFF" } });
  await call("DeleteObject", { Bucket: "locked", Key: "h", VersionId: held.VersionId });
}

async function views() {
  await call("CreateBucket", { Bucket: "past" });
  await call("PutObject", { Bucket: "past", Key: "k", Body: "before" });
  await call("PutObject", { Bucket: "past", Key: "gone", Body: "x" });
  const view = `past--at-e${Number(headers["x-stele-entry"]) + 1}`;
  await call("PutObject", { Bucket: "past", Key: "k", Body: "after" });
  await call("DeleteObject", { Bucket: "past", Key: "gone" });
  assert.deepEqual((await call("ListObjectsV2", { Bucket: view })).Contents.map((o) => o.Key), ["gone", "k"]);
  assert.deepEqual([await body({ Bucket: view, Key: "k" }), await body({ Bucket: view, Key: "gone" }), await body({ Bucket: "past", Key: "k" })], ["before", "x", "after"]);
  await refused("AccessDenied", "PutObject", { Bucket: view, Key: "k", Body: "forged" });
  await call("CopyObject", { Bucket: "past", Key: "gone", CopySource: `${view}/gone` });
  assert.equal(await body({ Bucket: "past", Key: "gone" }), "x");
}

const version = JSON.parse(readFileSync(new URL("./node_modules/@aws-sdk/client-s3/package.json", import.meta.url))).version;
console.log("@aws-sdk/client-s3", version, "node", process.version);
for (const part of [objects, multipart, presigned, versions, conditions, locks, views]) {
  await part();
  console.log("ok", part.name);
}
