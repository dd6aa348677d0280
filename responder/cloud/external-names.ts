// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import type { ResourceType } from "#responder/cluster";
import { keyOf, nameOf, uidOf } from "#responder/cluster";
import type { CloudClue, NameClue, Provider } from "#responder/cloud/external-names-clue";
import type { Target } from "#responder/plan";

/** A managed resource as far as alerts can name it. */
export type Managed = {
  readonly target: Target;
  readonly provider: Provider | "";
  /** '' unknown. */
  readonly account: string;
  readonly region: string;
};

export type Found =
  | { readonly kind: "one"; readonly target: Target }
  | { readonly kind: "none"; readonly reason: string };

/** Managed resources by the names that their clouds know them by. */
export type ExternalNames = {
  /** Takes a version in; undefined takes the resource out. */
  readonly change: (type: ResourceType, key: string, object: JsonObject | undefined) => void;
  readonly find: (clue: CloudClue) => Found;
  /** Names that are known. */
  readonly size: () => number;
};

/** Crossplane's name of the external resource (crossplane-runtime, pkg/meta). */
export const externalNameAnnotation = "crossplane.io/external-name";

/** About 300 bytes each: 60 MB at most. */
const namesMaxDefault = 200_000;
const nameLengthMax = 2_048;

/**
 * An index of external names: the annotation, and what the provider reports in `status.atProvider` (`arn`, `id`, `selfLink`). ARNs, Azure
 * ids and Google's full names say all; a bare name counts only where provider, account, region and kind do not contradict.
 * Full, it knows nothing more, and says so instead of answering wrongly.
 */
export function makeExternalNames(namesMax = namesMaxDefault): ExternalNames {
  const byName = new Map<string, Map<string, Managed>>();
  const namesOfKey = new Map<string, readonly string[]>();
  let count = 0;
  let left = 0;
  const drop = (id: string): void => {
    for (const name of namesOfKey.get(id) ?? []) {
      const holders = byName.get(name);
      if (holders?.delete(id) === true) count -= 1;
      if (holders?.size === 0) byName.delete(name);
    }
    namesOfKey.delete(id);
  };
  const lookUp = (clue: CloudClue, rank: readonly NameClue[]): readonly Managed[] => {
    const found = new Map<string, Managed>();
    for (const { name, stem } of rank) {
      for (const [id, managed] of byName.get(normal(name)) ?? []) {
        const isWhole = isGlobal(name);
        if (fits(managed, clue) && (isWhole || fitsKind(managed, clue, stem)))
          found.set(id, managed);
      }
    }
    return [...found.values()];
  };
  return {
    change: (type, key, object) => {
      const id = `${type.apiVersion} ${type.kind} ${key}`;
      drop(id);
      if (object === undefined) return;
      const names = namesOf(type, object);
      if (count + names.length > namesMax) {
        left += 1;
        return;
      }
      const managed = managedOf(type, object);
      namesOfKey.set(id, names);
      for (const name of names) {
        const holders = byName.get(name) ?? new Map<string, Managed>();
        byName.set(name, holders.set(id, managed));
        count += 1;
      }
    },
    find: (clue) => {
      if (left > 0)
        return none(`${left} managed resource(s) are beyond the index's ${namesMax} names`);
      for (const rank of clue.names) {
        const best = closest(lookUp(clue, rank), clue.operation);
        const [one] = best;
        if (one !== undefined && best.length === 1) return { kind: "one", target: one.target };
        if (one !== undefined) return none(`the alert fits ${listed(best)}`);
      }
      const names = clue.names.flat().map(({ name }) => name);
      return none(
        names.length === 0
          ? "the alert names no cloud resource"
          : `no managed resource has the external name ${names.slice(0, 3).join(", ")}`,
      );
    },
    size: () => count,
  };
}

const none = (reason: string): Found => ({ kind: "none", reason });

const listed = (all: readonly Managed[]): string => {
  const names = all.map(({ target }) => `${target.kind} ${keyOf(target)}`).sort();
  return `${names.slice(0, 5).join(", ")}${names.length > 5 ? " and more" : ""}: which one is not clear`;
};

/** A bucket, its policy and its encryption share one external name: the kind that the call's name holds most of is meant. */
function closest(found: readonly Managed[], operation: string): readonly Managed[] {
  const called = operation.toLowerCase().replaceAll(/[^a-z]/g, "");
  const score = ({ target }: Managed): number =>
    called.includes(target.kind.toLowerCase()) ? target.kind.length : 0;
  const most = Math.max(0, ...found.map(score));
  return found.filter((one) => score(one) === most);
}

const agree = (a: string, b: string): boolean => a === "" || b === "" || a === b;

const fits = (managed: Managed, clue: CloudClue): boolean =>
  agree(managed.provider, clue.provider) &&
  agree(managed.account, clue.account) &&
  agree(managed.region, clue.region);

/** `bucket` of `bucketName` fits Bucket and BucketPolicy, `dbinstance` fits rds' Instance, `group` fits SecurityGroup. */
function fitsKind({ target }: Managed, clue: CloudClue, stem: string): boolean {
  const kind = target.kind.toLowerCase();
  const word = stem.replace(/s$/, "");
  if (word !== "") return kind.includes(word) || word.includes(kind);
  // A bare `name`: only the call's own name can tell what it is the name of.
  return clue.operation
    .toLowerCase()
    .replaceAll(/[^a-z]/g, "")
    .includes(kind);
}

function namesOf(type: ResourceType, object: JsonObject): readonly string[] {
  const path = ["status", "atProvider"];
  const external = textAt(object, ["metadata", "annotations", externalNameAnnotation]);
  // Google's buckets have a space of names of their own; their external name is the bare one.
  const isBucket = providerOf(type.apiVersion) === "gcp" && type.kind === "Bucket";
  const all = [
    external,
    ...(isBucket && external !== "" ? [`projects/_/buckets/${external}`] : []),
    ...["arn", "id", "selfLink", "resourceId"].map((name) => textAt(object, [...path, name])),
  ];
  const fit = all.filter((name) => name !== "" && name.length <= nameLengthMax);
  return [...new Set(fit.map(normal))];
}

function managedOf(type: ResourceType, object: JsonObject): Managed {
  const arn = textAt(object, ["status", "atProvider", "arn"]).split(":");
  const id = textAt(object, ["status", "atProvider", "id"]);
  const subscription = /^\/subscriptions\/([^/]+)/i.exec(id)?.[1]?.toLowerCase() ?? "";
  const project = textAt(object, ["spec", "forProvider", "project"]);
  const region = at(object, ["spec", "forProvider", "region"]);
  return {
    target: {
      apiVersion: type.apiVersion,
      kind: type.kind,
      ...nameOf(object),
      uid: uidOf(object),
    },
    provider: providerOf(type.apiVersion),
    account: (arn.length >= 6 ? arn[4] : "") || subscription || project,
    region: typeof region === "string" ? region : "",
  };
}

/** `s3.aws.upbound.io/v1beta1`, `storage.gcp.m.upbound.io/...`, `s3.aws.crossplane.io/...`. */
function providerOf(apiVersion: string): Provider | "" {
  const parts = (apiVersion.split("/")[0] ?? "").split(".");
  if (parts.includes("aws")) return "aws";
  if (parts.includes("gcp")) return "gcp";
  return parts.some((part) => part === "azure" || part === "azuread") ? "azure" : "";
}

/** Names that say provider, account and kind by themselves. */
const isGlobal = (name: string): boolean =>
  /^arn:|^\/subscriptions\/|^https:\/\/|^projects\/|^\/\/[a-z]+\.googleapis\.com\//i.test(name);

/**
 * One form for one resource: Azure's ids have no case; Google's self-links, `//service/...` and `projects/_/buckets/x` are written as the path
 * that audit logs use, and a bucket as its global name.
 */
export function normal(name: string): string {
  if (/^\/subscriptions\//i.test(name)) return name.toLowerCase().replace(/\/+$/, "");
  const path = name
    .replace(/^https:\/\/[a-z0-9.-]*googleapis\.com\/(?:[a-z]+\/)?(?:v\d[a-z0-9]*\/)?/i, "")
    .replace(/^\/\/[a-z]+\.googleapis\.com\//i, "");
  const bucket = /^(?:b|projects\/_\/buckets)\/([^/]+)$/.exec(path)?.[1];
  return bucket === undefined ? path : `buckets/${bucket}`;
}
