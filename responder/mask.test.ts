// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { mask, maskJson } from "#responder/mask";
import { workedMs } from "#test/support/cpu-time";

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

describe("a text for records that many may read", () => {
  it.each([
    { reason: "A variable.", text: "PASSWORD=hunter2 ./run", want: "PASSWORD=[masked] ./run" },
    {
      reason: "A name that only holds the word.",
      text: "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG aws s3 ls",
      want: "AWS_SECRET_ACCESS_KEY=[masked] aws s3 ls",
    },
    {
      reason: "JSON.",
      text: '{"password": "a b c", "x": 1}',
      want: '{"password": [masked], "x": 1}',
    },
    { reason: "YAML.", text: "dbPassword: 'a b'", want: "dbPassword: [masked]" },
    {
      reason: "A flag.",
      text: "psql --password hunter2 -h db",
      want: "psql --password [masked] -h db",
    },
    { reason: "A flag with =.", text: "x --api-key=abc123", want: "x --api-key=[masked]" },
    {
      reason: "A flag without a value.",
      text: "login --password --user x",
      want: "login --password --user x",
    },
    { reason: "mysql.", text: "mysql -u root -phunter2 db", want: "mysql -u root -p[masked] db" },
    {
      reason: "curl.",
      text: "curl -u bob:hunter2 http://x",
      want: "curl -u bob:[masked] http://x",
    },
    { reason: "An address.", text: "redis://:hunter2@db:6379", want: "redis://:[masked]@db:6379" },
    {
      reason: "A header.",
      text: "curl -H 'Authorization: Bearer abcdefgh12345' x",
      want: "curl -H 'Authorization: Bearer [masked]' x",
    },
    { reason: "A service account's token.", text: `cat ${jwt}`, want: "cat [masked token]" },
    {
      reason: "GitHub.",
      text: `git clone ghp_${"a1".repeat(18)}`,
      want: "git clone [masked token]",
    },
    { reason: "Slack.", text: "xoxb-123456789012-abcdef", want: "[masked token]" },
    {
      reason: "A key in a file that somebody printed.",
      text: "x -----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc+/=\n-----END RSA PRIVATE KEY-----",
      want: "x [masked private key]",
    },
    { reason: "An account.", text: "AKIAIOSFODNN7EXAMPLE", want: "[masked key id]" },
    {
      reason: "What is no secret stays readable.",
      text: "Notice A shell was spawned | user=root process=sh -c ls /etc/passwd parent=runc uid=0",
      want: "Notice A shell was spawned | user=root process=sh -c ls /etc/passwd parent=runc uid=0",
    },
    {
      reason: "So does a digest: history and audit log name evidence by it.",
      text: `evidence sha256:${"a".repeat(64)} in s3://b/prod_web.json`,
      want: `evidence sha256:${"a".repeat(64)} in s3://b/prod_web.json`,
    },
  ])("$reason", ({ text, want }) => {
    expect(mask(text)).toBe(want);
  });

  it.each([
    { reason: "the word again and again", text: "password".repeat(100_000) },
    { reason: "flags without an end", text: " --".repeat(200_000) },
    { reason: "a key that never ends", text: `-----BEGIN PRIVATE KEY-----${"A".repeat(500_000)}` },
    { reason: "colons", text: "://a:".repeat(100_000) },
    { reason: "mysql again and again", text: "mysql ".repeat(100_000) },
    { reason: "dashes", text: " -u a".repeat(100_000) },
  ])("takes no longer for a text that is made to be slow: $reason", ({ text }) => {
    const before = workedMs();
    mask(text);
    expect(workedMs() - before).toBeLessThan(2_000);
  });

  it("of an object masks the value beside a name that tells what it is", () => {
    const env = [
      { name: "DB_PASSWORD", value: "hunter2" },
      { name: "COLOR", value: "blue" },
    ];
    expect(maskJson({ env })).toEqual({
      env: [
        { name: "DB_PASSWORD", value: "[masked]" },
        { name: "COLOR", value: "blue" },
      ],
    });
  });
});
