// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Alert } from "#responder/intake/alert";
import { alertView, fieldText } from "#responder/intake/alert";

export type Provider = "aws" | "gcp" | "azure";

/** One name by which a cloud alert may mean a resource. */
export type NameClue = {
  readonly name: string;
  /** What the name says of the resource's kind, lower case, e.g. `bucket` of `bucketName`; '' for nothing. */
  readonly stem: string;
};

/** What a cloud alert says about the resource that was changed, and by whom. */
export type CloudClue = {
  readonly provider: Provider;
  /** Who did it, as the cloud authenticated them; '' when the alert does not tell. */
  readonly actor: string;
  /** The call, e.g. `PutBucketPolicy`; for people, and to tell a bucket from its policy. */
  readonly operation: string;
  /** AWS account, GCP project or Azure subscription; '' unknown. */
  readonly account: string;
  /** '' unknown. */
  readonly region: string;
  /** True for calls that change nothing, or that were refused. */
  readonly isReadOnly: boolean;
  /** Best first; those of one rank stand together. */
  readonly names: readonly (readonly NameClue[])[];
};

const namesMax = 50;
const nameLengthMax = 2_048;
const depthMax = 5;
/** Longest JSON text in a field that is looked into. */
const textMax = 131_072;

/**
 * Reads a cloud audit alert: Falco's cloudtrail plugin (`aws_cloudtrail`), gcpaudit plugin (`gcp_auditlog`), and Azure's activity log as a
 * JSON source brings it (there is no Azure plugin of Falco's). undefined for all other alerts. Fields: falcosecurity/plugins,
 * plugins/cloudtrail and plugins/gcpaudit, README.
 */
export function cloudClueOf(alert: Alert): CloudClue | undefined {
  if (alert.source === "aws_cloudtrail") return awsClue(alert);
  if (["gcp_auditlog", "gcpaudit", "auditlogs"].includes(alert.source)) return gcpClue(alert);
  if (/^az(ure)?(_|$)/.test(alert.source)) return azureClue(alert);
  return undefined;
}

/** Whom the Kubernetes API server or the cloud authenticated; '' for what happens inside a container. */
export function actorOf(alert: Alert): string {
  const cloud = cloudClueOf(alert)?.actor ?? "";
  return (cloud === "" ? alertView(alert).audit.user : cloud).slice(0, 256);
}

function awsClue(alert: Alert): CloudClue {
  const of = (key: string): string => fieldText(alert, key);
  const operation = of("ct.name");
  const named = [
    ...namedInRequest(parsed(of("ct.request")), operation),
    ...namedInRequest(requestFields(alert), operation),
  ];
  const single = [
    { name: of("s3.bucket"), stem: "bucket" },
    { name: of("ecr.repository"), stem: "repository" },
    { name: of("ct.request.functionname"), stem: "function" },
    { name: of("ct.request.cluster"), stem: "cluster" },
    { name: of("ct.request.name"), stem: "" },
    { name: of("ct.request.groupname"), stem: "group" },
    { name: of("ct.request.username"), stem: "user" },
  ].filter((one) => one.stem === "" || mentions(operation, one.stem));
  const listed = parsed(of("ct.resources"));
  const arns = (isArray(listed) ? listed : []).map((one) => ({
    name: textAt(one, ["ARN"]) || textAt(one, ["arn"]),
    stem: "",
  }));
  return {
    provider: "aws",
    actor: of("ct.user.arn") || of("ct.user"),
    operation,
    account: of("ct.recipientaccountid") || of("ct.user.accountid"),
    region: of("ct.region"),
    isReadOnly: of("ct.readonly") === "true" || of("ct.error") !== "",
    names: ranks([[...named, ...single], arns]),
  };
}

/**
 * Request parameters that name the resource itself: the word before Id, Name, Arn, ... is part of the call's name, as in
 * AuthorizeSecurityGroupIngress {groupId}; the subnetId of RunInstances names something else.
 */
function namedInRequest(request: Json | undefined, operation: string): readonly NameClue[] {
  const found: NameClue[] = [];
  walk(request, 0, (key, value) => {
    const match = /^(.*?)(?:id|ids|name|names|arn|arns|identifier|url)?$/i.exec(key);
    const stem = (match?.[1] ?? "").toLowerCase();
    const isName = key.length > stem.length || value.startsWith("arn:");
    if (isName && (stem === "" || mentions(operation, stem))) found.push({ name: value, stem });
  });
  return found;
}

/** `ct.request.instanceid` of rules that name single parameters, without their own words for what they hold. */
function requestFields(alert: Alert): Json {
  const prefix = "ct.request.";
  const keys = Object.keys(alert.fields).filter((key) => key.startsWith(prefix));
  return Object.fromEntries(
    keys.slice(0, namesMax).map((key) => [key.slice(prefix.length), fieldText(alert, key)]),
  );
}

/** `dBInstance` in `ModifyDBInstance`; `instances` counts as `instance`. */
const mentions = (operation: string, stem: string): boolean =>
  operation.toLowerCase().includes(stem.replace(/s$/, ""));

function gcpClue(alert: Alert): CloudClue {
  const of = (key: string): string => fieldText(alert, key);
  const checks = parsed(of("gcp.authorizationInfo"));
  const granted = (isArray(checks) ? checks : []).filter((one) => field(one, "granted") !== false);
  const resources = granted.flatMap((one) => [
    { name: textAt(one, ["resourceAttributes", "name"]), stem: "" },
    { name: textAt(one, ["resource"]), stem: "" },
  ]);
  const raw = [
    { name: of("gcp.resourceName"), stem: "" },
    { name: of("json.value[/protoPayload/resourceName]"), stem: "" },
  ];
  const labels = Object.keys(alert.fields).flatMap((key) => {
    const label = /^json\.value\[\/resource\/labels\/([a-z]+)_(?:name|id)\]$/.exec(key)?.[1];
    return label === undefined || label === "project" ? [] : [{ name: of(key), stem: label }];
  });
  const operation = of("gcp.methodName") || textAt(granted[0], ["permission"]);
  const account = of("json.value[/resource/labels/project_id]") || of("gcp.projectId");
  // Some services name the project by its number, which the cluster does not know.
  const byId = [...raw, ...resources].flatMap(({ name, stem }) =>
    account !== "" && /^projects\/\d+\//.test(name)
      ? [{ name: name.replace(/^projects\/\d+/, () => `projects/${account}`), stem }]
      : [],
  );
  return {
    provider: "gcp",
    actor: of("gcp.user") || of("gcp.principalEmail"),
    operation,
    account,
    region: of("json.value[/resource/labels/location]"),
    isReadOnly: /\.(get|list|getIamPolicy)$/.test(operation),
    names: ranks([[...raw, ...resources, ...byId], labels]),
  };
}

function azureClue(alert: Alert): CloudClue {
  const of = (key: string): string => fieldText(alert, key);
  const first = (...keys: readonly string[]): string =>
    keys.map(of).find((one) => one !== "") ?? "";
  // Whatever the field is called, a value of this form is a resource's id; the caller's own ids are none.
  const ids = Object.values(alert.fields)
    .filter((value) => typeof value === "string")
    .filter((value) => /^\/subscriptions\/[^/]+\/.+\/providers\//i.test(value));
  const operation = first(
    "azure.operationName",
    "json.value[/operationName]",
    "json.value[/operationName/value]",
    "json.value[/data/operationName]",
  );
  return {
    provider: "azure",
    actor: first(
      "azure.caller",
      "json.value[/caller]",
      "json.value[/identity/claims/name]",
      "json.value[/data/claims/name]",
    ),
    operation,
    account: /^\/subscriptions\/([^/]+)/i.exec(ids[0] ?? "")?.[1]?.toLowerCase() ?? "",
    region: "",
    isReadOnly: /\/read$/i.test(operation),
    names: ranks([ids.map((name) => ({ name, stem: "" }))]),
  };
}

/** Without empty and overlong names, each once; ranks that are left empty are gone. */
function ranks(all: readonly (readonly NameClue[])[]): readonly (readonly NameClue[])[] {
  const seen = new Set<string>();
  return all
    .map((rank) =>
      rank
        .filter(({ name, stem }) => {
          const key = `${stem} ${name}`;
          if (name === "" || name.length > nameLengthMax || seen.has(key)) return false;
          seen.add(key);
          return true;
        })
        .slice(0, namesMax),
    )
    .filter((rank) => rank.length > 0);
}

function walk(
  value: Json | undefined,
  depth: number,
  onText: (key: string, value: string) => void,
  key = "",
): void {
  if (typeof value === "string" && key !== "") onText(key, value);
  else if (depth >= depthMax) return;
  else if (isArray(value)) for (const item of value) walk(item, depth + 1, onText, key);
  else if (isObject(value))
    for (const [name, inner] of Object.entries(value)) walk(inner, depth + 1, onText, name);
}

/** Fields that hold JSON as a text; undefined for anything else. */
function parsed(text: string): Json | undefined {
  if (text.length > textMax || !/^[[{]/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) || isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
