// The AWS SDK for JavaScript v3 against the store at argv[2], in the bucket argv[3]; prints what it saw as JSON.
"use strict";
const { S3Client, PutObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, paginateListObjectsV2,
  DeleteObjectsCommand, CopyObjectCommand, NoSuchKey } = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { Readable } = require("stream");
const crypto = require("crypto");

async function main() {
  const [endpoint, Bucket] = process.argv.slice(2);
  const s3 = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, maxAttempts: 1 });
  const seen = {};
  await s3.send(new PutObjectCommand({ Bucket, Key: "a b/ü+.txt", Body: "hello", Metadata: { colour: "blue" } }));
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: "a b/ü+.txt" }));
  seen.text = await got.Body.transformToString();
  seen.metadata = got.Metadata;
  const big = crypto.randomBytes(11 * 1024 * 1024);
  const upload = new Upload({ client: s3, partSize: 5 * 1024 * 1024, params: { Bucket, Key: "big", Body: Readable.from([big]) } });
  seen.etag = (await upload.done()).ETag;
  const back = Buffer.from(await (await s3.send(new GetObjectCommand({ Bucket, Key: "big" }))).Body.transformToByteArray());
  seen.same = back.equals(big);
  const part = await s3.send(new GetObjectCommand({ Bucket, Key: "big", Range: "bytes=5242870-5242889" }));
  seen.range = Buffer.from(await part.Body.transformToByteArray()).equals(big.subarray(5242870, 5242890));
  await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/big` }));
  seen.copied = (await s3.send(new HeadObjectCommand({ Bucket, Key: "copy" }))).ContentLength;
  seen.keys = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 1 }, { Bucket })) {
    seen.keys.push(...(page.Contents ?? []).map((object) => object.Key));
  }
  try {
    await s3.send(new GetObjectCommand({ Bucket, Key: "nothing" }));
  } catch (error) {
    seen.missing = error instanceof NoSuchKey && error.$metadata.httpStatusCode === 404;
  }
  await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: seen.keys.map((Key) => ({ Key })) } }));
  seen.left = (await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount;
  console.log(JSON.stringify(seen));
}

main().catch((error) => { console.error(error); process.exit(1); });
