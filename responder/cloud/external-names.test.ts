// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { readAlerts, toAlert } from "#responder/intake/alert";
import type { ResourceType } from "#responder/cluster";
import { externalNameAnnotation, makeExternalNames, normal } from "#responder/cloud/external-names";
import { cloudClueOf } from "#responder/cloud/external-names-clue";
import { shared } from "#test/support/shared";

const kind = (group: string, name: string): ResourceType => ({
  apiVersion: `${group}/v1beta1`,
  kind: name,
  resource: `${name.toLowerCase()}s`,
  namespaced: group.includes(".m."),
});
const bucket = kind("s3.aws.upbound.io", "Bucket");
const bucketPolicy = kind("s3.aws.upbound.io", "BucketPolicy");
const group = kind("ec2.aws.upbound.io", "SecurityGroup");
const groupInNamespace = kind("ec2.aws.m.upbound.io", "SecurityGroup");
const subnet = kind("ec2.aws.upbound.io", "Subnet");
const role = kind("iam.aws.upbound.io", "Role");
const database = kind("rds.aws.upbound.io", "Instance");
const gcsBucket = kind("storage.gcp.upbound.io", "Bucket");
const firewall = kind("compute.gcp.upbound.io", "SecurityPolicy");
const storageAccount = kind("storage.azure.upbound.io", "Account");

type Resource = {
  readonly type: ResourceType;
  readonly name: string;
  readonly external?: string;
  readonly atProvider?: JsonObject;
  readonly forProvider?: JsonObject;
};
const object = (one: Resource): JsonObject => ({
  metadata: {
    name: one.name,
    uid: `uid-${one.name}`,
    ...(one.type.namespaced ? { namespace: "team" } : {}),
    annotations:
      one.external === undefined ? {} : { [externalNameAnnotation]: one.external, other: "x" },
  },
  spec: { forProvider: { ...one.forProvider, more: "is not kept" } },
  status: { atProvider: { ...one.atProvider, more: "is not kept" } },
});

const azureId =
  "/subscriptions/0000-11/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopdata";
const resources: readonly Resource[] = [
  { type: bucket, name: "data", external: "acme-data", forProvider: { region: "eu-west-1" } },
  { type: bucketPolicy, name: "data-policy", external: "acme-data" },
  {
    type: group,
    name: "web",
    external: "sg-0a1",
    forProvider: { region: "eu-west-1" },
    atProvider: { arn: "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1", id: "sg-0a1" },
  },
  { type: group, name: "twin-a", external: "sg-0b2" },
  { type: groupInNamespace, name: "twin-b", external: "sg-0b2" },
  { type: subnet, name: "net", external: "subnet-9" },
  { type: role, name: "ci", external: "ci" },
  { type: database, name: "orders", external: "orders" },
  { type: gcsBucket, name: "gcs", external: "ahmed-test" },
  { type: kind("pubsub.gcp.upbound.io", "Topic"), name: "topic", external: "ahmed-test" },
  {
    type: firewall,
    name: "waf",
    external: "edge",
    forProvider: { project: "shop" },
    atProvider: {
      selfLink: "https://www.googleapis.com/compute/v1/projects/shop/global/securityPolicies/edge",
    },
  },
  { type: storageAccount, name: "account", atProvider: { id: azureId } },
];

function index(all: readonly Resource[], namesMax?: number) {
  const names = makeExternalNames(namesMax);
  for (const one of all) names.change(one.type, one.name, object(one));
  return names;
}

const clue = (source: string, fields: JsonObject) => {
  const alert = toAlert({ rule: "r", source, output_fields: fields });
  if (typeof alert === "string") throw new Error(alert);
  const read = cloudClueOf(alert);
  if (read === undefined) throw new Error("no cloud alert");
  return read;
};
const aws = (name: string, request: JsonObject, more: JsonObject = {}) =>
  clue("aws_cloudtrail", { "ct.name": name, "ct.request": JSON.stringify(request), ...more });

const rows = [
  {
    reason: "The parameter that the call's name speaks of is the resource.",
    clue: aws("AuthorizeSecurityGroupIngress", { groupId: "sg-0a1", ipPermissions: {} }),
    want: "web",
  },
  {
    reason: "A bucket and its policy share a name: the call tells which is meant.",
    clue: aws("PutBucketPolicy", { bucketName: "acme-data", bucketPolicy: { Version: "x" } }),
    want: "data-policy",
  },
  {
    reason: "A call that no kind is named like falls to the bucket.",
    clue: aws("PutBucketAcl", { bucketName: "acme-data" }),
    want: "data",
  },
  {
    reason: "What a call only refers to is not its target.",
    clue: aws("RunInstances", { subnetId: "subnet-9" }),
    want: "names no cloud resource",
  },
  {
    reason: "The identifier of an RDS instance, whose kind is called otherwise.",
    clue: aws("ModifyDBInstance", { dBInstanceIdentifier: "orders" }),
    want: "orders",
  },
  {
    reason: "ARNs that CloudTrail lists name it where the request does not.",
    clue: aws(
      "SomeCall",
      {},
      {
        "ct.resources": JSON.stringify([
          { ARN: "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1" },
        ]),
      },
    ),
    want: "web",
  },
  {
    reason: "Two managed resources claim one cloud resource: a person must look.",
    clue: aws("RevokeSecurityGroupEgress", { groupId: "sg-0b2" }),
    want: "which one is not clear",
  },
  {
    reason: "Another account's resource of that id is another one.",
    clue: aws("RevokeSecurityGroupEgress", { groupId: "sg-0a1" }, { "ct.recipientaccountid": "9" }),
    want: "no managed resource",
  },
  {
    reason: "Another region's bucket name is not possible, another region's group is another one.",
    clue: aws("RevokeSecurityGroupEgress", { groupId: "sg-0a1" }, { "ct.region": "us-east-1" }),
    want: "no managed resource",
  },
  {
    reason: "A user called like a role is no role.",
    clue: aws("AttachUserPolicy", { userName: "ci" }),
    want: "no managed resource",
  },
  {
    reason: "What somebody else owns is told, not taken.",
    clue: aws("DeleteBucket", { bucketName: "someone-elses" }),
    want: "no managed resource has the external name someone-elses",
  },
  {
    reason: "Google's bucket, as in the plugin's own sample.",
    clue: clue("gcp_auditlog", {
      "gcp.authorizationInfo":
        '[{"granted":true,"permission":"storage.buckets.setIamPolicy","resource":"projects/_/buckets/ahmed-test","resourceAttributes":{}}]',
      "gcp.user": "ahmed.amin@test.com",
    }),
    want: "gcs",
  },
  {
    reason: "A full name and a self-link are one name.",
    clue: clue("gcp_auditlog", {
      "gcp.authorizationInfo":
        '[{"granted":true,"permission":"compute.securityPolicies.update","resourceAttributes":{"name":"projects/shop/global/securityPolicies/edge"}}]',
    }),
    want: "waf",
  },
  {
    reason: "A rule that names the one parameter instead of the whole request.",
    clue: clue("aws_cloudtrail", {
      "ct.name": "RevokeSecurityGroupEgress",
      "ct.request.groupid": "sg-0a1",
      "ct.request.subnetid": "subnet-9",
    }),
    want: "web",
  },
  {
    reason: "Some of Google's services name the project by its number.",
    clue: clue("gcpaudit", {
      "gcp.methodName": "v1.compute.securityPolicies.patch",
      "gcp.resourceName": "projects/123456789/global/securityPolicies/edge",
      "gcp.projectId": "shop",
    }),
    want: "waf",
  },
  {
    reason: "Of another project it is another one.",
    clue: clue("gcpaudit", {
      "gcp.methodName": "v1.compute.securityPolicies.patch",
      "gcp.resourceName": "projects/123456789/global/securityPolicies/edge",
      "gcp.projectId": "bank",
    }),
    want: "no managed resource",
  },
  {
    reason: "Azure's ids have no case.",
    clue: clue("azure_activity", {
      "json.value[/resourceId]": azureId.toUpperCase().replace("/SUBSCRIPTIONS", "/subscriptions"),
      "json.value[/caller]": "jane@example.org",
    }),
    want: "account",
  },
];

describe("the managed resource of a cloud alert", () => {
  it.each(rows)("$reason", (row) => {
    const found = index(resources).find(row.clue);
    const text = found.kind === "one" ? found.target.name : found.reason;
    expect(text).toContain(row.want);
    if (found.kind === "one") expect(text).toBe(row.want);
  });

  it("tells the actor that the cloud authenticated", () => {
    const arn = "arn:aws:sts::111122223333:assumed-role/admin/jane";
    expect(aws("DeleteBucket", {}, { "ct.user.arn": arn, "ct.user": "admin" }).actor).toBe(arn);
    expect(clue("gcp_auditlog", { "gcp.user": "a@b.c" }).actor).toBe("a@b.c");
    expect(clue("gcpaudit", { "gcp.principalEmail": "a@b.c" }).actor).toBe("a@b.c");
    expect(clue("azure", { "json.value[/caller]": "j@x.y" }).actor).toBe("j@x.y");
  });

  it("was not changed by a call that reads, or that failed", () => {
    expect(aws("GetBucketAcl", {}, { "ct.readonly": "true" }).isReadOnly).toBe(true);
    expect(aws("DeleteBucket", {}, { "ct.error": "AccessDenied" }).isReadOnly).toBe(true);
    expect(aws("DeleteBucket", {}, { "ct.error": null }).isReadOnly).toBe(false);
    expect(clue("gcp_auditlog", { "gcp.methodName": "storage.buckets.get" }).isReadOnly).toBe(true);
  });

  it("is forgotten when it goes, and found under its new name only", () => {
    const names = index(resources);
    const call = aws("DeleteBucket", { bucketName: "acme-data" });
    names.change(bucket, "data", object({ type: bucket, name: "data", external: "new" }));
    names.change(bucketPolicy, "data-policy", undefined);
    expect(names.find(call).kind).toBe("none");
    expect(names.find(aws("DeleteBucket", { bucketName: "new" }))).toMatchObject({ kind: "one" });
  });

  it("is not guessed at once the index is full", () => {
    const many = Array.from({ length: 50 }, (_, i) => ({
      type: bucket,
      name: `b-${i}`,
      external: `bucket-${i}`,
    }));
    const names = index(many, 40);
    expect(names.size()).toBe(40);
    expect(names.find(aws("DeleteBucket", { bucketName: "bucket-1" }))).toMatchObject({
      kind: "none",
      reason: "10 managed resource(s) are beyond the index's 40 names",
    });
  });

  it("has one name, however it is written", () => {
    const forms = [
      "projects/_/buckets/x",
      "https://www.googleapis.com/storage/v1/b/x",
      "//storage.googleapis.com/projects/_/buckets/x",
    ];
    expect(new Set(forms.map(normal))).toEqual(new Set(["buckets/x"]));
  });

  it("is looked for in the alerts of clouds, and in no others", () => {
    const folder = shared("alerts");
    if (folder === undefined) return;
    const read = (file: string) => readAlerts(readFileSync(join(folder, file))).alerts[0]?.alert;
    const opened = read("18-cloudtrail-authorize-sg.json");
    expect(opened && cloudClueOf(opened)).toMatchObject({
      provider: "aws",
      actor: "ADMIN_OKTA_TEST",
      operation: "AuthorizeSecurityGroupIngress",
      account: "230446364776",
      region: "ap-northeast-1",
      names: [],
    });
    const login = read("28-cloudtrail-console-login-no-mfa.json");
    expect(login && cloudClueOf(login)).toMatchObject({ actor: "bob", names: [] });
    for (const other of ["01-shell-k8s-null-iso8601.json", "07-k8saudit-secret-list.json"]) {
      const alert = read(other);
      expect(alert && cloudClueOf(alert)).toBeUndefined();
    }
  });

  it("is not looked for by hostile texts", () => {
    const deep = "[".repeat(5_000) + "]".repeat(5_000);
    expect(clue("aws_cloudtrail", { "ct.name": "X", "ct.request": deep }).names).toEqual([]);
    const broken = clue("aws_cloudtrail", { "ct.name": "X", "ct.request": '{"a":' });
    expect(broken.names).toEqual([]);
    const wide = aws("DeleteBucket", {
      bucketNames: Array.from({ length: 9_000 }, (_, i) => `n${i}`),
    });
    expect(wide.names.flat().length).toBeLessThanOrEqual(50);
    const proto = aws("GetConstructor", { constructorName: "__proto__" });
    expect(index(resources).find(proto).kind).toBe("none");
  });
});
