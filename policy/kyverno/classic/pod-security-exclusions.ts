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

export const isControlName = (name: string): boolean => controls.has(name);

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

/** An exclusion with the checks of a level that it is about. */
export type PlannedExclusion = Exclusion & { readonly relevant: readonly StandardCheck[] };

export const planExclusions = (
  exclusions: readonly Exclusion[],
  checks: readonly StandardCheck[],
): readonly PlannedExclusion[] =>
  exclusions.map((exclusion) => ({
    ...exclusion,
    relevant: checks.filter(({ id }) => exclusion.checks.includes(id)),
  }));

/**
 * Takes from the failed checks what exclusions allow (Kyverno, pkg/pss/evaluate.go): an exclusion is evaluated on a pod
 * of its own, and what that pod fails is struck from the list. Of several forms of a check only the last is left.
 */
export function applyExclusions(
  failed: readonly FailedCheck[],
  exclusions: readonly PlannedExclusion[],
  pod: PodView,
): readonly FailedCheck[] {
  if (exclusions.length === 0 || failed.length === 0) return failed;
  const left = new Map(failed.map((check) => [check.id, new OpenErrors(check, pod)]));
  for (const exclusion of exclusions) {
    const open = exclusion.relevant.filter(({ id }) => left.get(id)?.isEmpty === false);
    if (open.length === 0) continue;
    const excluded = excludedPod(exclusion, pod);
    for (const { id, errors } of failedChecks(open, excluded)) {
      for (const error of errors) left.get(id)?.strike(error, exclusion, excluded);
    }
  }
  return [...left.values()].flatMap((errors) => errors.check);
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

/** The errors of one check that no exclusion has struck yet. */
class OpenErrors {
  readonly #failed: FailedCheck;
  readonly #pod: PodView;
  #errors: FieldError[] | undefined;
  /** Of each error its field with any index and the name of its container, as numbers that are fast to compare. */
  #fields: number[] = [];
  #containers: number[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(failed: FailedCheck, pod: PodView) {
    this.#failed = failed;
    this.#pod = pod;
  }

  get isEmpty(): boolean {
    return this.#errors?.length === 0;
  }

  /** Nothing when all errors are struck. */
  get check(): readonly FailedCheck[] {
    if (this.#errors === undefined) return [this.#failed];
    return this.isEmpty ? [] : [{ ...this.#failed, errors: this.#errors }];
  }

  /** Takes away the first error like this one, of a container with the same name if the exclusion is by image. */
  strike(error: FieldError, exclusion: Exclusion, excluded: PodView): void {
    const wanted = anyIndex(error.field);
    if (exclusion.restrictedField !== "" && exclusion.restrictedField !== wanted) return;
    const { values } = exclusion;
    if (values !== undefined && !valuesOf(error).every((value) => values(value))) return;
    const errors = this.#open();
    const name = exclusion.images === undefined ? undefined : containerName(error.field, excluded);
    const place = this.#number(`field ${wanted}`);
    const container = name === undefined ? undefined : this.#number(name);
    const index = this.#fields.findIndex(
      (one, position) =>
        one === place && (container === undefined || this.#containers[position] === container),
    );
    if (index < 0) return;
    removeAt(errors, index);
    removeAt(this.#fields, index);
    removeAt(this.#containers, index);
  }

  #open(): FieldError[] {
    if (this.#errors !== undefined) return this.#errors;
    const errors = [...this.#failed.errors];
    this.#errors = errors;
    this.#fields = errors.map((error) => this.#number(`field ${anyIndex(error.field)}`));
    this.#containers = errors.map((error) =>
      this.#number(containerName(error.field, this.#pod) ?? ""),
    );
    return errors;
  }

  #number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(text, number);
    return number;
  }
}

const anyIndex = (path: string): string => path.replace(/\d+/g, "*");

/** The last one takes the place of the removed one, as in the reference's messages. */
function removeAt(items: unknown[], index: number): void {
  const last = items.pop();
  if (last !== undefined && index < items.length) items[index] = last;
}

/** Told apart from the names of fields and from ''. */
function containerName(path: string, pod: PodView): string | undefined {
  const match = /^spec\.(containers|initContainers|ephemeralContainers)\[(\d+)\]/.exec(path);
  if (match === null) return undefined;
  return `name ${textAt(at(pod.spec, [match[1] ?? "", Number(match[2])]), ["name"])}`;
}

function valuesOf(error: FieldError): readonly string[] {
  const { value } = error;
  if (value === undefined || value === "") return [];
  return typeof value === "object" ? value : [String(value)];
}
