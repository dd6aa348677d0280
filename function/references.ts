// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { parseApiVersion } from "#policy/kubernetes/kinds";

/** Deepest nesting at which references are looked for; real ones sit near the top of a spec. */
const depthMax = 32;

/** An object of the composed set under its resource name; `subject` is what a companion belongs to, else ''. */
export type Named = {
  readonly name: string;
  readonly object: JsonObject;
  readonly subject: string;
};

/**
 * The resources that will not work until the held object exists, as they name it or select it:
 * - by a field ending in `Ref` or `Refs` with its name, as managed resources do
 * - by one ending in `Selector` whose labels it has (crossplane-runtime apis/common/v1, Selector); a selector does not say
 *   its kind, so the field's name must: `bucketSelector`, `subnetIdSelector`, `kmsKeyIdSelector`
 * - by the fields that Kubernetes' own kinds have for it, such as `secretName`
 * Compositions like to give all that they compose the same name: `bucketRef` means the Bucket among those, where there is one.
 * The object comes with the labels that Crossplane adds.
 */
export function dependantsOf(held: JsonObject, others: readonly Named[]): readonly string[] {
  const target = {
    kind: textAt(held, ["kind"]),
    name: textAt(held, ["metadata", "name"]),
    labels: field(field(held, "metadata"), "labels"),
  };
  const namesakes = others
    .map(({ object }) => object)
    .filter((object) => textAt(object, ["metadata", "name"]) === target.name)
    .map((object) => textAt(object, ["kind"]));
  return others
    .filter(({ object }) => dependsOn(contentOf(object), { ...target, namesakes }, 0))
    .map((each) => each.name)
    .sort();
}

type Target = {
  readonly kind: string;
  readonly name: string;
  readonly labels: Json | undefined;
  /** Kinds of the other resources with the same name. */
  readonly namesakes: readonly string[];
};

/** What an object says, wherever its kind has it: a RoleBinding has no `spec`. */
const contentOf = ({ metadata: _metadata, status: _status, ...content }: JsonObject): JsonObject =>
  content;

function dependsOn(value: Json | undefined, target: Target, depth: number): boolean {
  if (depth > depthMax) return false;
  if (isArray(value)) return value.some((item) => dependsOn(item, target, depth + 1));
  if (!isObject(value)) return false;
  // A Usage says beside its reference or selector of which kind it is.
  const stated = textAt(value, ["kind"]);
  return Object.entries(value).some(
    ([key, item]) => isLink(key, item, stated, target) || dependsOn(item, target, depth + 1),
  );
}

function isLink(key: string, value: Json, stated: string, target: Target): boolean {
  if (/Refs?$/.test(key)) return refersTo(key, value, stated, target);
  if (key.endsWith("Selector")) return selects(key, value, stated, target);
  return namesNatively(key, value, target);
}

function refersTo(key: string, value: Json, stated: string, target: Target): boolean {
  const { kind, name, namesakes } = target;
  if (name === "") return false;
  // Names of configurations and of secrets that are still to be written, not of what must exist.
  if (key === "providerConfigRef" || key === "writeConnectionSecretToRef") return false;
  return (isArray(value) ? value : [value]).some((each) => {
    if (textAt(each, ["name"]) !== name) return false;
    const wanted = textAt(each, ["kind"]) || stated || kindOfRef(key);
    if (wanted !== "") return wanted === kind;
    return isNamedAfter(key, kind) || !namesakes.some((other) => isNamedAfter(key, other));
  });
}

/** `secretKeyRef`, `passwordSecretRef` and `configMapKeyRef` are for one kind only. */
function kindOfRef(key: string): string {
  if (/secret(?:key)?refs?$/i.test(key)) return "Secret";
  return /configmap(?:key)?refs?$/i.test(key) ? "ConfigMap" : "";
}

function selects(key: string, value: Json, stated: string, { kind, labels }: Target): boolean {
  const wanted = field(value, "matchLabels");
  if (!isObject(wanted) && field(value, "matchControllerRef") !== true) return false;
  const isKind = stated === "" ? isNamedAfter(key, kind) : stated === kind;
  return (
    isKind &&
    Object.entries(isObject(wanted) ? wanted : {}).every(
      ([label, text]) => field(labels, label) === text,
    )
  );
}

/** `dbSubnetGroupNameSelector` is after SubnetGroup, `instanceRef` after DatabaseInstance. */
function isNamedAfter(key: string, kind: string): boolean {
  const subject = key.replace(/(Ids?|Arns?|Names?|Urls?)?(Selector|Refs?)$/, "").toLowerCase();
  const name = kind.toLowerCase();
  return subject !== "" && name !== "" && (subject.endsWith(name) || name.endsWith(subject));
}

/** Fields of Kubernetes' own kinds that hold the name of an object, and the kind it is of. */
const nameFields: Readonly<Record<string, string>> = {
  serviceAccountName: "ServiceAccount",
  secretName: "Secret",
  claimName: "PersistentVolumeClaim",
  serviceName: "Service",
};
/** Fields that hold an object with the name: a volume's config map, a backend's service. */
const objectFields: Readonly<Record<string, string>> = {
  configMap: "ConfigMap",
  secret: "Secret",
  service: "Service",
  imagePullSecrets: "Secret",
};

function namesNatively(key: string, value: Json, { kind, name }: Target): boolean {
  if (name === "") return false;
  if (Object.hasOwn(nameFields, key)) return nameFields[key] === kind && value === name;
  return (
    Object.hasOwn(objectFields, key) &&
    objectFields[key] === kind &&
    (isArray(value) ? value : [value]).some((each) => textAt(each, ["name"]) === name)
  );
}

/**
 * Whether an object cannot come to exist while another does not: it lives in that namespace, or is of the kind that it
 * defines. Sent all the same, the API server would refuse it, and Crossplane apply nothing more of the composition.
 */
export function cannotExistWithout(object: JsonObject, absent: JsonObject): boolean {
  const kind = textAt(absent, ["kind"]);
  if (kind === "Namespace" && textAt(absent, ["apiVersion"]) === "v1") {
    return textAt(object, ["metadata", "namespace"]) === textAt(absent, ["metadata", "name"]);
  }
  if (kind !== "CustomResourceDefinition" && kind !== "CompositeResourceDefinition") return false;
  const { group } = parseApiVersion(textAt(object, ["apiVersion"]));
  return (
    group !== "" &&
    group === textAt(absent, ["spec", "group"]) &&
    textAt(object, ["kind"]) === textAt(absent, ["spec", "names", "kind"])
  );
}
