// SPDX-License-Identifier: Apache-2.0
import { at, field, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import {
  failedChecks,
  parseStandardVersion,
  standardChecks,
} from "#policy/kubernetes/pod-security/evaluate";
import type { FailedCheck, StandardCheck } from "#policy/kubernetes/pod-security/evaluate";
import { podView } from "#policy/kubernetes/pod-security/pod";
import type { PodView } from "#policy/kubernetes/pod-security/pod";
import type { FieldError } from "#policy/kubernetes/pod-security/violation";
import { findTypeMismatch } from "#policy/kubernetes/type-mismatch";
import {
  applyExclusions,
  compileExclusions,
  planExclusions,
} from "#policy/kyverno/classic/pod-security-exclusions";
import type { Exclusion } from "#policy/kyverno/classic/pod-security-exclusions";
import { errored, failed, passed } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, RuleState, Verdict } from "#policy/kyverno/classic/rule-state";

/** What exceptions with podSecurity allow beyond the rule, and their names. */
export type GrantedExclusions = {
  readonly exclusions: readonly Exclusion[];
  readonly names: readonly string[];
};

export type PodSecurityCheck = (state: RuleState, granted: GrantedExclusions) => Verdict;

/** Plans `validate.podSecurity` (Kyverno, pkg/engine/handlers/validation/validate_pss.go). */
export function compilePodSecurity(
  document: JsonObject,
  rule: string,
  problems: RuleProblem[],
): PodSecurityCheck {
  const level = textAt(document, ["level"]);
  const stated = textAt(document, ["version"]);
  const version = parseStandardVersion(stated);
  if (version === undefined) {
    const message = `must be "latest" or a version like "v1.25", got "${stated}"`;
    problems.push({ path: "podSecurity.version", message });
  }
  const checks = standardChecks(level, version ?? "latest");
  const exclusions = planExclusions(compileExclusions(field(document, "exclude")), checks);
  const pass = passed(`Validation rule '${rule}' passed.`);
  return ({ review }, granted) => {
    const found = findPod(review.object ?? review.oldObject ?? {});
    if ("wrong" in found) return errored(`Error while getting new resource: ${found.wrong}`);
    const { pod, prefix } = found;
    const own = applyExclusions(failedOnce(found, checks), exclusions, pod);
    if (own.length === 0) return pass;
    const left = applyExclusions(own, planExclusions(granted.exclusions, checks), pod);
    if (left.length === 0) {
      const message = `rule is skipped due to policy exceptions ${granted.names.join(", ")}`;
      return { result: "skip", message, exceptions: granted.names };
    }
    const list = left.map((check) => describeCheck(check, prefix)).join("");
    return failed(
      `Validation rule '${rule}' failed. It violates PodSecurity "${level}:${stated}": ${list}`,
    );
  };
}

/** The pod in a resource, what `spec` of it is called there, or why there is none. */
type FoundPod = PodInResource | { readonly wrong: string };

type PodInResource = {
  readonly pod: PodView;
  readonly prefix: string;
  /** What the checks of a level have found already. */
  readonly failed: Map<readonly StandardCheck[], readonly FailedCheck[]>;
};

/** Several policies ask for the same checks of the same pod. */
function failedOnce(
  { pod, failed: known }: PodInResource,
  checks: readonly StandardCheck[],
): readonly FailedCheck[] {
  const found = known.get(checks) ?? failedChecks(checks, pod);
  known.set(checks, found);
  return found;
}

const pods = new WeakMap<JsonObject, FoundPod>();

/** Resources do not change, and several policies look at the same one. */
function findPod(object: JsonObject): FoundPod {
  const known = pods.get(object);
  if (known !== undefined) return known;
  const found = readPod(object);
  pods.set(object, found);
  return found;
}

function readPod(object: JsonObject): FoundPod {
  const template = findTemplate(object);
  if (template === undefined) return { wrong: "could not find correct resource type" };
  const wrong = typeMismatch(object, template);
  if (wrong !== undefined) return { wrong };
  const pod = podView(template.metadata, template.spec);
  return { pod, prefix: template.prefix, failed: new Map() };
}

type Template = {
  readonly metadata: Json | undefined;
  readonly spec: Json | undefined;
  readonly prefix: string;
};

const controllers = [
  "DaemonSet",
  "Deployment",
  "Job",
  "StatefulSet",
  "ReplicaSet",
  "ReplicationController",
];

/** The pod in a resource. Of a CronJob the reference reads the metadata of the job, not that of the pod. */
function findTemplate(object: JsonObject): Template | undefined {
  const kind = textAt(object, ["kind"]);
  const find = (path: readonly string[], metadataPath: readonly string[]): Template => ({
    metadata: at(object, metadataPath),
    spec: at(object, path),
    prefix: path.join("."),
  });
  if (kind === "Pod") return find(["spec"], ["metadata"]);
  if (kind === "CronJob") {
    return find(
      ["spec", "jobTemplate", "spec", "template", "spec"],
      ["spec", "jobTemplate", "metadata"],
    );
  }
  if (!controllers.includes(kind)) return undefined;
  return find(["spec", "template", "spec"], ["spec", "template", "metadata"]);
}

const podKind = { group: "", version: "v1", kind: "Pod" };

/** The reference decodes into Go types first, and a value of another type is an error. */
function typeMismatch(object: JsonObject, template: Template): string | undefined {
  const own = field(object, "metadata") ?? null;
  const metadata = template.metadata ?? null;
  const wrong = metadata === own ? undefined : findTypeMismatch(podKind, { metadata: own });
  return wrong ?? findTypeMismatch(podKind, { metadata, spec: template.spec ?? null });
}

function describeCheck(check: FailedCheck, prefix: string): string {
  const errors = check.errors.map((error) => describeError(error, prefix)).join(", ");
  return `(Forbidden reason: ${check.reason}, field error list: [${errors}])`;
}

function describeError(error: FieldError, prefix: string): string {
  const { field: stated } = error;
  const path = prefix === "spec" ? stated : stated.replaceAll("spec", prefix);
  const whole = path.replaceAll("metadata", "spec.template.metadata");
  if (error.required) return `${whole}: Required value`;
  const { value } = error;
  if (value === undefined || value === "") return `${whole}: Forbidden`;
  const text = typeof value === "object" ? `[${value.join(" ")}]` : String(value);
  return `${whole} is forbidden, forbidden values found: ${text}`;
}
