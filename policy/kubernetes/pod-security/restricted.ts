// SPDX-License-Identifier: Apache-2.0
import { field, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { addedCapabilities, badProfiles } from "#policy/kubernetes/pod-security/baseline";
import {
  containersOf,
  isWindows,
  objectAt,
  objectsAt,
  podSecurityContext,
  textsAt,
} from "#policy/kubernetes/pod-security/pod";
import { forbidden, required, violation } from "#policy/kubernetes/pod-security/violation";
import type { CheckPod, FieldError } from "#policy/kubernetes/pod-security/violation";

/** The same check with pods for Windows let through, as of 1.25. */
export const exceptWindows =
  (check: CheckPod): CheckPod =>
  (pod) =>
    isWindows(pod) ? undefined : check(pod);

export const allowPrivilegeEscalation: CheckPod = (pod) =>
  violation(
    "allowPrivilegeEscalation != false",
    containersOf(pod).flatMap(({ security, path }) => {
      const at = `${path}.securityContext.allowPrivilegeEscalation`;
      if (security === undefined) return [required(at)];
      const value = field(security, "allowPrivilegeEscalation");
      if (value === false) return [];
      return [forbidden(at, value === true ? true : "nil")];
    }),
  );

export const capabilitiesRestricted: CheckPod = (pod) => {
  const missing = containersOf(pod).flatMap(({ security, path }) => {
    const at = `${path}.securityContext.capabilities.drop`;
    const dropped = textsAt(objectAt(security, "capabilities"), "drop");
    if (dropped.length === 0) return [required(at)];
    return dropped.includes("ALL") ? [] : [forbidden(at, dropped)];
  });
  const added = addedCapabilities(pod, (name) => name === "NET_BIND_SERVICE");
  return violation("unrestricted capabilities", [...missing, ...added]);
};

/** Volume sources that need no host, in the order in which the upstream check looks for others. */
const volumesAllowed = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
];
const volumesForbidden = [
  "hostPath",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "gitRepo",
  "nfs",
  "iscsi",
  "glusterfs",
  "rbd",
  "flexVolume",
  "cinder",
  "cephfs",
  "flocker",
  "fc",
  "azureFile",
  "vsphereVolume",
  "quobyte",
  "azureDisk",
  "photonPersistentDisk",
  "portworxVolume",
  "scaleIO",
  "storageos",
];

export const restrictedVolumes: CheckPod = (pod) =>
  violation(
    "restricted volume types",
    objectsAt(pod.spec, "volumes").flatMap((volume, index) => {
      const has = (key: string): boolean => isObject(field(volume, key));
      if (volumesAllowed.some(has)) return [];
      return [forbidden(`spec.volumes[${index}].${volumesForbidden.find(has) ?? "unknown"}`)];
    }),
  );

/** What a pod may say once for all its containers: those that say nothing are wrong only if it does not either. */
export const runAsNonRoot: CheckPod = (pod) => {
  const own = field(podSecurityContext(pod), "runAsNonRoot");
  const set: FieldError[] = [];
  const unset: FieldError[] = [];
  if (own === false) set.push(forbidden("spec.securityContext.runAsNonRoot", false));
  for (const { security, path } of containersOf(pod)) {
    const at = `${path}.securityContext.runAsNonRoot`;
    const value = field(security, "runAsNonRoot");
    if (value === false) set.push(forbidden(at, false));
    if (typeof value !== "boolean" && own !== true) unset.push(required(at));
  }
  return violation("runAsNonRoot != true", [...set, ...unset]);
};

export const runAsUser: CheckPod = (pod) => {
  const errorsOf = (security: JsonObject | undefined, path: string): readonly FieldError[] =>
    field(security, "runAsUser") === 0 ? [forbidden(`${path}.securityContext.runAsUser`, 0)] : [];
  return violation("runAsUser=0", [
    ...errorsOf(podSecurityContext(pod), "spec"),
    ...containersOf(pod).flatMap(({ security, path }) => errorsOf(security, path)),
  ]);
};

/** Unlike runAsNonRoot, what is set badly hides what is not set. */
export const seccompRestricted: CheckPod = (pod) => {
  const set = badProfiles(pod, "seccompProfile");
  if (set.length > 0) return violation("seccompProfile", set);
  const own = objectAt(podSecurityContext(pod), "seccompProfile");
  const ownIsGood = ["RuntimeDefault", "Localhost"].includes(textAt(own, ["type"]));
  const unset = containersOf(pod).flatMap(({ security, path }) =>
    ownIsGood || objectAt(security, "seccompProfile") !== undefined
      ? []
      : [required(`${path}.securityContext.seccompProfile.type`)],
  );
  return violation("seccompProfile", unset);
};
