// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, GetObjectRetentionCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openS3Evidence, type S3Evidence } from "#responder/adapters/evidence-s3";
import { type S3Settings, s3Settings } from "#responder/config/evidence-s3-settings";
import { objectStore } from "#test/cluster/binaries";
import { evidenceContract } from "#test/support/evidence-contract";
import { accessKey, startObjectStore, type TestObjectStore } from "#test/support/object-store";

const program = objectStore();
const nowMs = Date.now();

describe.skipIf(program === undefined)("evidence in a real S3-compatible store", () => {
  let store: TestObjectStore;
  let admin: S3Client;
  let buckets = 0;
  const opened: S3Evidence[] = [];
  const folder = mkdtempSync(join(tmpdir(), "parapet-evidence-s3-"));

  beforeAll(async () => {
    store = await startObjectStore(program ?? "");
    admin = new S3Client({
      endpoint: store.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey.id, secretAccessKey: accessKey.secret },
      requestHandler: { httpsAgent: { rejectUnauthorized: false } },
    });
  });
  afterEach(() => {
    for (const one of opened.splice(0)) one.close();
  });
  afterAll(async () => {
    admin?.destroy();
    await store?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const settings = (bucket: string, more: object = {}): S3Settings =>
    s3Settings.parse({
      bucket,
      prefix: "parapet/evidence",
      endpoint: store.endpoint,
      pathStyle: true,
      caFile: store.authority.caFile,
      credentials: {
        accessKeyIdFile: store.accessKeyIdFile,
        secretAccessKeyFile: store.secretAccessKeyFile,
      },
      ...more,
    });
  const newBucket = async (locked = false): Promise<string> => {
    const bucket = `evidence-${++buckets}`;
    await admin.send(
      new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: locked }),
    );
    return bucket;
  };
  const open = async (bucket: string, more: object = {}): Promise<S3Evidence> => {
    const evidence = await openS3Evidence(settings(bucket, more), () => nowMs);
    opened.push(evidence);
    return evidence;
  };

  evidenceContract(
    async () => open(await newBucket()),
    (location, text) => writeFileSync(store.fileOf(location), text),
  );

  it("locks what it keeps until the day that the settings say", async () => {
    const bucket = await newBucket(true);
    const evidence = await open(bucket, { retention: { mode: "COMPLIANCE", days: 30 } });
    expect(await evidence.keep("shop_web", "x")).toMatchObject({ ok: true });
    const retention = await admin.send(
      new GetObjectRetentionCommand({ Bucket: bucket, Key: "parapet/evidence/shop_web.json" }),
    );
    expect(retention.Retention?.Mode).toBe("COMPLIANCE");
    const until = retention.Retention?.RetainUntilDate?.getTime() ?? 0;
    expect(Math.abs(until - (nowMs + 30 * 86_400_000))).toBeLessThan(2_000);
  });

  it("takes the keys anew from their files, so that they can be exchanged while it runs", async () => {
    const bucket = await newBucket();
    const secretAccessKeyFile = join(folder, "secret");
    writeFileSync(secretAccessKeyFile, "wrong");
    const credentials = { accessKeyIdFile: store.accessKeyIdFile, secretAccessKeyFile };
    let clock = nowMs - 3_600_000;
    const evidence = await openS3Evidence(settings(bucket, { credentials }), () => clock);
    opened.push(evidence);
    expect(await evidence.keep("a", "x")).toMatchObject({ ok: false, code: "Forbidden" });
    writeFileSync(secretAccessKeyFile, accessKey.secret);
    clock = nowMs;
    expect(await evidence.keep("a", "x")).toMatchObject({ ok: true });
  });

  it.each([
    {
      reason: "A bucket that is not there may be made: tried again later.",
      more: {},
      bucket: "no-such-bucket",
      code: "Unavailable",
    },
    {
      reason: "A server that another authority vouches for is not talked to.",
      more: { caFile: undefined },
      bucket: "evidence-1",
      code: "Unavailable",
    },
    {
      reason: "Nobody listens.",
      more: { endpoint: "http://127.0.0.1:9" },
      bucket: "evidence-1",
      code: "Unavailable",
    },
  ])("fails as a value that may be tried again: $reason", async ({ more, bucket, code }) => {
    const evidence = await open(bucket, { timeout: "3s", ...more });
    const reply = await evidence.keep("x", "y");
    expect(reply).toMatchObject({ ok: false, code });
    expect(JSON.stringify(reply)).not.toContain(accessKey.id);
  });

  it("gives up at its deadline with a store that accepts and never answers", async () => {
    const bucket = await newBucket();
    const evidence = await open(bucket, { timeout: "1s", tries: 10 });
    await store.freeze();
    const before = performance.now();
    const reply = await evidence.keep("x", "y");
    store.thaw();
    expect(reply).toEqual({
      ok: false,
      code: "Unavailable",
      message: "evidence: no answer in time",
    });
    expect(performance.now() - before).toBeLessThan(3_000);
    // What was sent may have been written all the same; the same bundle is then found kept.
    expect(await evidence.keep("x", "y")).toMatchObject({ ok: true });
  });
});

// What the real store does not do: encryption by its own keys, and tokens of an identity provider.
describe("what goes over the wire", () => {
  let server: Server;
  let endpoint = "";
  const seen: { method: string; url: string; headers: IncomingMessage["headers"] }[] = [];
  const environment = { ...process.env };
  const folder = mkdtempSync(join(tmpdir(), "parapet-evidence-wire-"));
  let answer: (url: string) => { readonly status: number; readonly body: string } = () => ({
    status: 200,
    body: "",
  });

  beforeAll(async () => {
    server = createServer((request, reply) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        const body = Buffer.concat(chunks).toString("utf8");
        seen.push({ method, url: url === "/" ? `/?${body}` : url, headers });
        const { status, body: text } = answer(url);
        reply.writeHead(status, { "content-type": "text/xml" }).end(text);
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    if (typeof address === "object" && address !== null) {
      endpoint = `http://127.0.0.1:${address.port}`;
    }
  });
  afterEach(() => {
    seen.length = 0;
    answer = () => ({ status: 200, body: "" });
    process.env = { ...environment };
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const keep = async (more: object) => {
    const given = { bucket: "evidence", endpoint, pathStyle: true, ...more };
    const evidence = await openS3Evidence(s3Settings.parse(given), Date.now);
    const reply = await evidence.keep("shop_web", "x");
    evidence.close();
    return reply;
  };
  const keys = { AWS_ACCESS_KEY_ID: "AKIDFROMENVIRONMENT", AWS_SECRET_ACCESS_KEY: "s" };

  it("asks for encryption by a named key, checks the bytes and overwrites nothing", async () => {
    Object.assign(process.env, keys);
    const encryption = { algorithm: "aws:kms", keyId: "arn:aws:kms:eu-west-1:1:key/k" };
    expect(await keep({ encryption })).toMatchObject({ ok: true });
    expect(seen[0]).toMatchObject({
      method: "PUT",
      url: "/evidence/shop_web.json?x-id=PutObject",
      headers: {
        "if-none-match": "*",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:1:key/k",
        "x-amz-checksum-sha256": "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=",
      },
    });
    expect(seen[0]?.headers.authorization).toContain("Credential=AKIDFROMENVIRONMENT/");
  });

  it("signs with what a web identity's token was exchanged for", async () => {
    const token = join(folder, "token");
    writeFileSync(token, "a-service-account-token");
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"]) {
      delete process.env[name];
    }
    Object.assign(process.env, {
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/evidence",
      AWS_ENDPOINT_URL_STS: endpoint,
      AWS_REGION: "us-east-1",
    });
    answer = (url) => ({
      status: 200,
      body: url === "/" ? assumed : "",
    });
    expect(await keep({})).toMatchObject({ ok: true });
    expect(seen[0]?.url).toContain("WebIdentityToken=a-service-account-token");
    expect(seen[1]?.headers.authorization).toContain("Credential=ASIAFROMTHETOKEN/");
    expect(seen[1]?.headers["x-amz-security-token"]).toBe("session");
  });

  it("tries again when the store is busy, as often as the settings say", async () => {
    Object.assign(process.env, keys);
    answer = () => ({ status: 503, body: "<Error><Code>SlowDown</Code></Error>" });
    expect(await keep({ tries: 3 })).toMatchObject({
      ok: false,
      code: "Unavailable",
      message: "evidence: SlowDown (503)",
    });
    expect(seen).toHaveLength(3);
  });

  it("writes where it may not read, and says so when something is there already", async () => {
    Object.assign(process.env, keys);
    answer = () => ({ status: 403, body: "<Error><Code>AccessDenied</Code></Error>" });
    const given = { bucket: "evidence", endpoint, pathStyle: true, tries: 1 };
    const evidence = await openS3Evidence(s3Settings.parse(given), Date.now);
    expect(await evidence.find("shop_web")).toEqual({ ok: true, value: undefined });
    answer = () => ({ status: 412, body: "<Error><Code>PreconditionFailed</Code></Error>" });
    expect(await evidence.keep("shop_web", "x")).toMatchObject({ ok: false, code: "Unavailable" });
    evidence.close();
  });
});

const assumed = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>ASIAFROMTHETOKEN</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
