// SPDX-License-Identifier: Apache-2.0
import { field, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import {
  containersOf,
  objectAt,
  objectsAt,
  podSecurityContext,
  textsAt,
} from "#policy/kubernetes/pod-security/pod";
import type { PodView } from "#policy/kubernetes/pod-security/pod";
import { forbidden, violation } from "#policy/kubernetes/pod-security/violation";
import type { CheckPod, FieldError } from "#policy/kubernetes/pod-security/violation";

/** Capabilities that a container may add (k8s.io/pod-security-admission, check_capabilities_baseline.go). */
const capabilitiesAllowed: readonly string[] = [
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
];

export const capabilitiesBaseline: CheckPod = (pod) =>
  violation(
    "non-default capabilities",
    addedCapabilities(pod, (name) => capabilitiesAllowed.includes(name)),
  );

/** The containers that add capabilities which are not allowed, each with those, sorted. */
export function addedCapabilities(
  pod: PodView,
  allowed: (name: string) => boolean,
): readonly FieldError[] {
  return containersOf(pod).flatMap(({ security, path }) => {
    const added = textsAt(objectAt(security, "capabilities"), "add");
    const bad = [...new Set(added.filter((name) => !allowed(name)))].sort();
    return bad.length === 0 ? [] : [forbidden(`${path}.securityContext.capabilities.add`, bad)];
  });
}

export const hostNamespaces: CheckPod = (pod) =>
  violation(
    "host namespaces",
    ["hostNetwork", "hostPID", "hostIPC"]
      .filter((key) => field(pod.spec, key) === true)
      .map((key) => forbidden(`spec.${key}`, true)),
  );

export const hostPathVolumes: CheckPod = (pod) =>
  violation(
    "hostPath volumes",
    objectsAt(pod.spec, "volumes").flatMap((volume, index) => {
      const hostPath = objectAt(volume, "hostPath");
      if (hostPath === undefined) return [];
      return [forbidden(`spec.volumes[${index}].hostPath`, textAt(hostPath, ["path"]))];
    }),
  );

export const hostPorts: CheckPod = (pod) =>
  violation(
    "hostPort",
    containersOf(pod).flatMap(({ container, path }) =>
      objectsAt(container, "ports").flatMap((port, index) => {
        const number = field(port, "hostPort");
        if (typeof number !== "number" || number === 0) return [];
        return [forbidden(`${path}.ports[${index}].hostPort`, number)];
      }),
    ),
  );

export const privileged: CheckPod = (pod) =>
  violation("privileged", containersWith(pod, ["privileged"], true));

/** Containers whose securityContext has a value at a path. */
function containersWith(
  pod: PodView,
  keys: readonly string[],
  value: boolean | number,
): readonly FieldError[] {
  return containersOf(pod).flatMap(({ security, path }) =>
    valueAt(security, keys) === value
      ? [forbidden([path, "securityContext", ...keys].join("."), value)]
      : [],
  );
}

function valueAt(object: JsonObject | undefined, keys: readonly string[]): unknown {
  let here: JsonObject | undefined = object;
  for (const key of keys.slice(0, -1)) here = objectAt(here, key);
  return field(here, keys.at(-1) ?? "");
}

export const procMount: CheckPod = (pod) =>
  violation(
    "procMount",
    containersOf(pod).flatMap(({ security, path }) => {
      const value = field(security, "procMount");
      if (typeof value !== "string" || value === "Default") return [];
      return [forbidden(`${path}.securityContext.procMount`, value)];
    }),
  );

export const windowsHostProcess: CheckPod = (pod) => {
  const keys = ["windowsOptions", "hostProcess"];
  const own = valueAt(podSecurityContext(pod), keys) === true;
  return violation("hostProcess", [
    ...(own ? [forbidden("spec.securityContext.windowsOptions.hostProcess", true)] : []),
    ...containersWith(pod, keys, true),
  ]);
};

/** Plans the check for SELinux; types are a matter of version, users and roles may never be set. */
export function makeSeLinuxOptions(types: readonly string[]): CheckPod {
  const errorsOf = (security: JsonObject | undefined, path: string): readonly FieldError[] => {
    const options = objectAt(security, "seLinuxOptions");
    if (options === undefined) return [];
    return ["type", "user", "role"].flatMap((key) => {
      const value = textAt(options, [key]);
      const allowed = value === "" || (key === "type" && types.includes(value));
      return allowed ? [] : [forbidden(`${path}.securityContext.seLinuxOptions.${key}`, value)];
    });
  };
  return (pod) =>
    violation("seLinuxOptions", [
      ...errorsOf(podSecurityContext(pod), "spec"),
      ...containersOf(pod).flatMap(({ security, path }) => errorsOf(security, path)),
    ]);
}

export function makeSysctls(allowed: readonly string[]): CheckPod {
  return (pod) =>
    violation(
      "forbidden sysctls",
      objectsAt(podSecurityContext(pod), "sysctls").flatMap((sysctl, index) => {
        const name = textAt(sysctl, ["name"]);
        if (allowed.includes(name)) return [];
        return [forbidden(`spec.securityContext.sysctls[${index}].name`, name)];
      }),
    );
}

const profileTypes = ["RuntimeDefault", "Localhost"];

/** The pod and the containers that state a profile whose type is not allowed. */
export function badProfiles(pod: PodView, key: string): readonly FieldError[] {
  const errorsOf = (security: JsonObject | undefined, path: string): readonly FieldError[] => {
    const profile = objectAt(security, key);
    if (profile === undefined) return [];
    const type = textAt(profile, ["type"]);
    if (profileTypes.includes(type)) return [];
    return [forbidden(`${path}.securityContext.${key}.type`, type)];
  };
  return [
    ...errorsOf(podSecurityContext(pod), "spec"),
    ...containersOf(pod).flatMap(({ security, path }) => errorsOf(security, path)),
  ];
}

export const seccompBaseline: CheckPod = (pod) =>
  violation("seccompProfile", badProfiles(pod, "seccompProfile"));

const seccompPodAnnotation = "seccomp.security.alpha.kubernetes.io/pod";
const seccompContainerPrefix = "container.seccomp.security.alpha.kubernetes.io/";

/** Before 1.19 the profile was an annotation. */
export const seccompAnnotations: CheckPod = (pod) => {
  const keys = [
    seccompPodAnnotation,
    ...containersOf(pod).map(({ name }) => seccompContainerPrefix + name),
  ];
  const isAllowed = (profile: string): boolean =>
    ["runtime/default", "docker/default"].includes(profile) || profile.startsWith("localhost/");
  return violation(
    "seccompProfile",
    keys.flatMap((key) => {
      const profile = field(pod.annotations, key);
      if (typeof profile !== "string" || isAllowed(profile)) return [];
      return [forbidden(`metadata.annotations[${key}]`, profile)];
    }),
  );
};

const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/";

export const appArmor: CheckPod = (pod) => {
  const set = badProfiles(pod, "appArmorProfile");
  const annotated = Object.keys(pod.annotations)
    .filter((key) => key.startsWith(appArmorPrefix))
    .sort()
    .flatMap((key) => {
      const profile = field(pod.annotations, key);
      const allowed =
        typeof profile !== "string" ||
        profile === "" ||
        profile === "runtime/default" ||
        profile.startsWith("localhost/");
      return allowed ? [] : [forbidden(`metadata.annotations[${key}]`, profile)];
    });
  const values = new Set(set.map((error) => error.value)).size + annotated.length;
  const reason = values === 1 ? "forbidden AppArmor profile" : "forbidden AppArmor profiles";
  return violation(reason, [...set, ...annotated]);
};

const hostProbePaths = [
  ["livenessProbe"],
  ["readinessProbe"],
  ["startupProbe"],
  ["lifecycle", "postStart"],
  ["lifecycle", "preStop"],
];

export const hostProbes: CheckPod = (pod) =>
  violation(
    "probe or lifecycle host",
    containersOf(pod).flatMap(({ container, path }) =>
      hostProbePaths.flatMap((keys) =>
        ["httpGet", "tcpSocket"].flatMap((handler) => {
          const at = [...keys, handler, "host"];
          const host = textAt(container, at);
          return host === "" ? [] : [forbidden([path, ...at].join("."), host)];
        }),
      ),
    ),
  );
