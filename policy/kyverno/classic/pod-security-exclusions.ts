// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { failedChecks } from "#policy/kubernetes/pod-security/evaluate";
import type { FailedCheck, StandardCheck } from "#policy/kubernetes/pod-security/evaluate";
import { containerLists, objectsAt } from "#policy/kubernetes/pod-security/pod";
import type { PodView } from "#policy/kubernetes/pod-security/pod";
import type { FieldError } from "#policy/kubernetes/pod-security/violation";
import { compileWildcards } from "#policy/kubernetes/wildcard";
import type { Wildcard } from "#policy/kubernetes/wildcard";
import { texts } from "#policy/kyverno/classic/resource-filter";

/** What the controls of the Pod Security Standards are called in policies, and the checks that make them up. */
const controls: ReadonlyMap<string, readonly string[]> = new Map([
  ["Capabilities", ["capabilities_baseline", "capabilities_restricted"]],
  ["Seccomp", ["seccompProfile_baseline", "seccompProfile_restricted"]],
  ["Privileged Containers", ["privileged"]],
  ["Host Ports", ["hostPorts"]],
  ["/proc Mount Type", ["procMount"]],
  ["HostProcess", ["windowsHostProcess"]],
  ["SELinux", ["seLinuxOptions"]],
  ["Host Namespaces", ["hostNamespaces"]],
  ["HostPath Volumes", ["hostPathVolumes"]],
  ["Sysctls", ["sysctls"]],
  ["AppArmor", ["appArmorProfile"]],
  ["Privilege Escalation", ["allowPrivilegeEscalation"]],
  ["Running as Non-root", ["runAsNonRoot"]],
  ["Running as Non-root user", ["runAsUser"]],
  ["Volume Types", ["restrictedVolumes"]],
]);

/** A control that a policy or an exception leaves out. */
export type Exclusion = {
  readonly checks: readonly string[];
  /** Undefined for the pod's own fields; else the containers with such an image. */
  readonly images: Wildcard | undefined;
  readonly restrictedField: string;
  /** Undefined for any value. */
  readonly values: Wildcard | undefined;
};

/** Reads `[{controlName, images, restrictedField, values}]`. */
export function compileExclusions(value: Json | undefined): readonly Exclusion[] {
  const entries = isArray(value) ? value : [];
  return entries.map((entry) => {
    const images = texts(field(entry, "images"));
    const values = texts(field(entry, "values"));
    return {
      checks: controls.get(textAt(entry, ["controlName"])) ?? [],
      images: images.length === 0 ? undefined : compileWildcards(images),
      restrictedField: textAt(entry, ["restrictedField"]),
      values: values.length === 0 ? undefined : compileWildcards(values),
    };
  });
}

/**
 * Takes from the failed checks what exclusions allow (Kyverno, pkg/pss/evaluate.go): an exclusion is evaluated on a pod
 * of its own, and what that pod fails is struck from the list. Of several forms of a check only the last is left.
 */
export function applyExclusions(
  failed: readonly FailedCheck[],
  exclusions: readonly Exclusion[],
  checks: readonly StandardCheck[],
  pod: PodView,
): readonly FailedCheck[] {
  if (exclusions.length === 0) return failed;
  const left = new Map(failed.map((check) => [check.id, check]));
  for (const exclusion of exclusions) {
    const excluded = excludedPod(exclusion, pod);
    const relevant = checks.filter(({ id }) => exclusion.checks.includes(id));
    for (const { id, errors } of failedChecks(relevant, excluded)) {
      for (const error of errors) strike(left, id, error, exclusion, excluded, pod);
    }
  }
  return [...left.values()];
}

/** The pod with a container that says nothing, or only the containers with the images and nothing of the pod. */
function excludedPod(exclusion: Exclusion, pod: PodView): PodView {
  const { images } = exclusion;
  if (images === undefined) {
    const { initContainers: _, ephemeralContainers: __, ...spec } = pod.spec;
    return { ...pod, spec: { ...spec, containers: [{ name: "fake" }] } };
  }
  const lists = containerLists.map((list): [string, JsonObject[]] => [
    list,
    objectsAt(pod.spec, list).filter((container) => images(textAt(container, ["image"]))),
  ]);
  return { annotations: {}, spec: Object.fromEntries(lists) };
}

function strike(
  left: Map<string, FailedCheck>,
  id: string,
  error: FieldError,
  exclusion: Exclusion,
  excluded: PodView,
  pod: PodView,
): void {
  const wanted = anyIndex(error.field);
  if (exclusion.restrictedField !== "" && exclusion.restrictedField !== wanted) return;
  const { values } = exclusion;
  if (values !== undefined && !valuesOf(error).every((value) => values(value))) return;
  const check = left.get(id);
  if (check === undefined) return;
  const container =
    exclusion.images === undefined ? undefined : containerName(error.field, excluded);
  const index = check.errors.findIndex((candidate) => {
    if (anyIndex(candidate.field) !== wanted) return false;
    return container === undefined || containerName(candidate.field, pod) === container;
  });
  if (index < 0) return;
  const errors = removeAt(check.errors, index);
  if (errors.length === 0) left.delete(id);
  if (errors.length > 0) left.set(id, { ...check, errors });
}

const anyIndex = (path: string): string => path.replace(/\d+/g, "*");

/** The last one takes the place of the removed one, as in the reference's messages. */
function removeAt(errors: readonly FieldError[], index: number): readonly FieldError[] {
  const changed = [...errors];
  const last = changed.pop();
  if (last !== undefined && index < changed.length) changed[index] = last;
  return changed;
}

function containerName(path: string, pod: PodView): string | undefined {
  const match = /^spec\.(containers|initContainers|ephemeralContainers)\[(\d+)\]/.exec(path);
  if (match === null) return undefined;
  return textAt(at(pod.spec, [match[1] ?? "", Number(match[2])]), ["name"]);
}

function valuesOf(error: FieldError): readonly string[] {
  const { value } = error;
  if (value === undefined || value === "") return [];
  return typeof value === "object" ? value : [String(value)];
}
