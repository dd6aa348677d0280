// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import {
  failedChecks,
  parseStandardVersion,
  standardChecks,
} from "#policy/kubernetes/pod-security/evaluate";
import { podView } from "#policy/kubernetes/pod-security/pod";
import type { FieldError } from "#policy/kubernetes/pod-security/violation";

const show = ({ field, required, value }: FieldError): string => {
  if (required) return `${field} required`;
  return value === undefined ? field : `${field} ${JSON.stringify(value)}`;
};

/** What a check says of a pod, e.g. `privileged: spec.containers[0].securityContext.privileged true`; '' for nothing. */
function run(id: string, spec: JsonObject, version = "latest", metadata: JsonObject = {}): string {
  const parsed = parseStandardVersion(version);
  if (parsed === undefined) throw new Error(`no version: ${version}`);
  const checks = standardChecks("restricted", parsed).filter((check) => check.id === id);
  return failedChecks(checks, podView(metadata, spec))
    .map(({ reason, errors }) => `${reason}: ${errors.map(show).join(", ")}`)
    .join(" / ");
}

const container = (more: JsonObject = {}): JsonObject => ({ name: "c", image: "i", ...more });
const spec = (more: JsonObject = {}): JsonObject => ({ containers: [container(more)] });
const secure = (securityContext: JsonObject): JsonObject => spec({ securityContext });
const podSecure = (securityContext: JsonObject): JsonObject => ({ ...spec(), securityContext });

const at = "spec.containers[0].securityContext";

type Row = {
  readonly reason: string;
  readonly check: string;
  readonly spec: JsonObject;
  readonly metadata?: JsonObject;
  readonly version?: string;
  readonly want: string;
};

const baseline: readonly Row[] = [
  {
    reason: "host namespaces, each by itself",
    check: "hostNamespaces",
    spec: { hostIPC: true, hostNetwork: true, hostPID: false },
    want: "host namespaces: spec.hostNetwork true, spec.hostIPC true",
  },
  {
    reason: "a privileged init container",
    check: "privileged",
    spec: { initContainers: [container({ securityContext: { privileged: true } })] },
    want: "privileged: spec.initContainers[0].securityContext.privileged true",
  },
  {
    reason: "a privileged ephemeral container",
    check: "privileged",
    spec: { ephemeralContainers: [container({ securityContext: { privileged: true } })] },
    want: "privileged: spec.ephemeralContainers[0].securityContext.privileged true",
  },
  {
    reason: "capabilities that no default has",
    check: "capabilities_baseline",
    spec: secure({ capabilities: { add: ["SYS_ADMIN", "CHOWN", "NET_RAW", "SYS_ADMIN"] } }),
    want: `non-default capabilities: ${at}.capabilities.add ["NET_RAW","SYS_ADMIN"]`,
  },
  {
    reason: "host paths",
    check: "hostPathVolumes",
    spec: { volumes: [{ emptyDir: {} }, { hostPath: { path: "/a" } }] },
    want: 'hostPath volumes: spec.volumes[1].hostPath "/a"',
  },
  {
    reason: "host ports but 0",
    check: "hostPorts",
    spec: spec({ ports: [{ hostPort: 0 }, { hostPort: 80 }] }),
    want: "hostPort: spec.containers[0].ports[1].hostPort 80",
  },
  {
    reason: "a proc mount that is not the default",
    check: "procMount",
    spec: secure({ procMount: "Unmasked" }),
    want: `procMount: ${at}.procMount "Unmasked"`,
  },
  {
    reason: "the default proc mount",
    check: "procMount",
    spec: secure({ procMount: "Default" }),
    want: "",
  },
  {
    reason: "Windows host processes of the pod and of containers",
    check: "windowsHostProcess",
    spec: {
      ...secure({ windowsOptions: { hostProcess: true } }),
      securityContext: { windowsOptions: { hostProcess: true } },
    },
    want: `hostProcess: spec.securityContext.windowsOptions.hostProcess true, ${at}.windowsOptions.hostProcess true`,
  },
  {
    reason: "an SELinux type of containers",
    check: "seLinuxOptions",
    spec: secure({ seLinuxOptions: { type: "container_kvm_t" } }),
    want: "",
  },
  {
    reason: "another SELinux type, user and role",
    check: "seLinuxOptions",
    spec: secure({ seLinuxOptions: { type: "spc_t", user: "u", role: "r" } }),
    want: `seLinuxOptions: ${at}.seLinuxOptions.type "spc_t", ${at}.seLinuxOptions.user "u", ${at}.seLinuxOptions.role "r"`,
  },
  {
    reason: "engines have a type of their own since 1.31",
    check: "seLinuxOptions",
    spec: secure({ seLinuxOptions: { type: "container_engine_t" } }),
    want: "",
  },
  {
    reason: "and not before",
    check: "seLinuxOptions",
    spec: secure({ seLinuxOptions: { type: "container_engine_t" } }),
    version: "v1.30",
    want: `seLinuxOptions: ${at}.seLinuxOptions.type "container_engine_t"`,
  },
  {
    reason: "a seccomp profile that is none",
    check: "seccompProfile_baseline",
    spec: podSecure({ seccompProfile: { type: "Unconfined" } }),
    want: 'seccompProfile: spec.securityContext.seccompProfile.type "Unconfined"',
  },
  { reason: "no seccomp profile", check: "seccompProfile_baseline", spec: spec(), want: "" },
  {
    reason: "until 1.18 profiles are annotations",
    check: "seccompProfile_baseline",
    spec: spec(),
    metadata: {
      annotations: {
        "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
        "container.seccomp.security.alpha.kubernetes.io/c": "localhost/x",
      },
    },
    version: "v1.18",
    want: 'seccompProfile: metadata.annotations[seccomp.security.alpha.kubernetes.io/pod] "unconfined"',
  },
  {
    reason: "today they are not looked at",
    check: "seccompProfile_baseline",
    spec: spec(),
    metadata: { annotations: { "seccomp.security.alpha.kubernetes.io/pod": "unconfined" } },
    want: "",
  },
  {
    reason: "with a version both forms run, as in Kyverno",
    check: "seccompProfile_baseline",
    spec: podSecure({ seccompProfile: { type: "Unconfined" } }),
    metadata: { annotations: { "seccomp.security.alpha.kubernetes.io/pod": "unconfined" } },
    version: "v1.19",
    want: 'seccompProfile: metadata.annotations[seccomp.security.alpha.kubernetes.io/pod] "unconfined" / seccompProfile: spec.securityContext.seccompProfile.type "Unconfined"',
  },
  {
    reason: "sysctls",
    check: "sysctls",
    spec: podSecure({ sysctls: [{ name: "net.ipv4.tcp_syncookies" }, { name: "kernel.msgmax" }] }),
    want: 'forbidden sysctls: spec.securityContext.sysctls[1].name "kernel.msgmax"',
  },
  {
    reason: "keepalive time is safe since 1.29",
    check: "sysctls",
    spec: podSecure({ sysctls: [{ name: "net.ipv4.tcp_keepalive_time" }] }),
    want: "",
  },
  {
    reason: "and not before",
    check: "sysctls",
    spec: podSecure({ sysctls: [{ name: "net.ipv4.ip_local_reserved_ports" }] }),
    version: "v1.26",
    want: 'forbidden sysctls: spec.securityContext.sysctls[0].name "net.ipv4.ip_local_reserved_ports"',
  },
  {
    reason: "AppArmor by annotation",
    check: "appArmorProfile",
    spec: spec(),
    metadata: { annotations: { "container.apparmor.security.beta.kubernetes.io/c": "unconfined" } },
    want: 'forbidden AppArmor profile: metadata.annotations[container.apparmor.security.beta.kubernetes.io/c] "unconfined"',
  },
  {
    reason: "AppArmor by field and by annotation",
    check: "appArmorProfile",
    spec: secure({ appArmorProfile: { type: "Unconfined" } }),
    metadata: { annotations: { "container.apparmor.security.beta.kubernetes.io/c": "x" } },
    want: `forbidden AppArmor profiles: ${at}.appArmorProfile.type "Unconfined", metadata.annotations[container.apparmor.security.beta.kubernetes.io/c] "x"`,
  },
  {
    reason: "probes of other hosts, since 1.34",
    check: "hostProbesAndHostLifecycle",
    spec: spec({
      livenessProbe: { httpGet: { host: "h" } },
      lifecycle: { preStop: { tcpSocket: { host: "g" } } },
    }),
    want: 'probe or lifecycle host: spec.containers[0].livenessProbe.httpGet.host "h", spec.containers[0].lifecycle.preStop.tcpSocket.host "g"',
  },
  {
    reason: "and not before",
    check: "hostProbesAndHostLifecycle",
    spec: spec({ livenessProbe: { httpGet: { host: "h" } } }),
    version: "v1.33",
    want: "",
  },
];

const windows = { os: { name: "windows" } };

const restricted: readonly Row[] = [
  {
    reason: "escalation has to be ruled out",
    check: "allowPrivilegeEscalation",
    spec: spec(),
    want: `allowPrivilegeEscalation != false: ${at}.allowPrivilegeEscalation required`,
  },
  {
    reason: "an empty context does not",
    check: "allowPrivilegeEscalation",
    spec: secure({}),
    want: `allowPrivilegeEscalation != false: ${at}.allowPrivilegeEscalation "nil"`,
  },
  {
    reason: "asked for",
    check: "allowPrivilegeEscalation",
    spec: secure({ allowPrivilegeEscalation: true }),
    want: `allowPrivilegeEscalation != false: ${at}.allowPrivilegeEscalation true`,
  },
  {
    reason: "Windows is spared since 1.25",
    check: "allowPrivilegeEscalation",
    spec: { ...spec(), ...windows },
    want: "",
  },
  {
    reason: "and not before",
    check: "allowPrivilegeEscalation",
    spec: { ...spec(), ...windows },
    version: "v1.24",
    want: `allowPrivilegeEscalation != false: ${at}.allowPrivilegeEscalation required`,
  },
  {
    reason: "capabilities have to be dropped",
    check: "capabilities_restricted",
    spec: spec(),
    want: `unrestricted capabilities: ${at}.capabilities.drop required`,
  },
  {
    reason: "all of them",
    check: "capabilities_restricted",
    spec: secure({ capabilities: { drop: ["KILL"], add: ["NET_BIND_SERVICE", "CHOWN"] } }),
    want: `unrestricted capabilities: ${at}.capabilities.drop ["KILL"], ${at}.capabilities.add ["CHOWN"]`,
  },
  {
    reason: "ALL in capitals",
    check: "capabilities_restricted",
    spec: secure({ capabilities: { drop: ["ALL"] } }),
    want: "",
  },
  {
    reason: "volumes of few types",
    check: "restrictedVolumes",
    spec: { volumes: [{ secret: {} }, { nfs: {} }, {}] },
    want: "restricted volume types: spec.volumes[1].nfs, spec.volumes[2].unknown",
  },
  {
    reason: "the pod may say it for all containers",
    check: "runAsNonRoot",
    spec: podSecure({ runAsNonRoot: true }),
    want: "",
  },
  {
    reason: "a container may not contradict",
    check: "runAsNonRoot",
    spec: { ...secure({ runAsNonRoot: false }), securityContext: { runAsNonRoot: true } },
    want: `runAsNonRoot != true: ${at}.runAsNonRoot false`,
  },
  {
    reason: "nobody says it",
    check: "runAsNonRoot",
    spec: spec(),
    want: `runAsNonRoot != true: ${at}.runAsNonRoot required`,
  },
  {
    reason: "the pod denies it and the container says nothing",
    check: "runAsNonRoot",
    spec: podSecure({ runAsNonRoot: false }),
    want: `runAsNonRoot != true: spec.securityContext.runAsNonRoot false, ${at}.runAsNonRoot required`,
  },
  {
    reason: "the root user",
    check: "runAsUser",
    spec: { ...secure({ runAsUser: 0 }), securityContext: { runAsUser: 0 } },
    want: `runAsUser=0: spec.securityContext.runAsUser 0, ${at}.runAsUser 0`,
  },
  {
    reason: "was not asked about before 1.23",
    check: "runAsUser",
    spec: secure({ runAsUser: 0 }),
    version: "v1.22",
    want: "",
  },
  {
    reason: "a seccomp profile is needed",
    check: "seccompProfile_restricted",
    spec: spec(),
    want: `seccompProfile: ${at}.seccompProfile.type required`,
  },
  {
    reason: "the pod's counts",
    check: "seccompProfile_restricted",
    spec: podSecure({ seccompProfile: { type: "RuntimeDefault" } }),
    want: "",
  },
  {
    reason: "a bad one hides those that are missing",
    check: "seccompProfile_restricted",
    spec: podSecure({ seccompProfile: { type: "Unconfined" } }),
    want: 'seccompProfile: spec.securityContext.seccompProfile.type "Unconfined"',
  },
];

describe("the checks of baseline", () => {
  test.each(baseline)("$check: $reason", ({ check, spec: of, version, metadata, want }) => {
    expect(run(check, of, version, metadata)).toBe(want);
  });
});

describe("the checks of restricted", () => {
  test.each(restricted)("$check: $reason", ({ check, spec: of, version, metadata, want }) => {
    expect(run(check, of, version, metadata)).toBe(want);
  });
});

describe("levels and versions", () => {
  const ids = (level: string, version: string): readonly string[] => {
    const parsed = parseStandardVersion(version) ?? "latest";
    return standardChecks(level, parsed).map(({ id }) => id);
  };

  test("baseline leaves out what only restricted asks", () => {
    expect(ids("baseline", "latest")).toEqual([
      "appArmorProfile",
      "capabilities_baseline",
      "hostNamespaces",
      "hostPathVolumes",
      "hostPorts",
      "hostProbesAndHostLifecycle",
      "privileged",
      "procMount",
      "seLinuxOptions",
      "seccompProfile_baseline",
      "sysctls",
      "windowsHostProcess",
    ]);
  });

  test("every other level runs all, as in Kyverno", () => {
    expect(ids("restricted", "latest")).toHaveLength(18);
    expect(ids("privileged", "latest")).toEqual(ids("restricted", "latest"));
  });

  test("of the latest version only the newest forms", () => {
    expect(new Set(ids("restricted", "latest")).size).toBe(18);
    expect(new Set(ids("restricted", "v1.34")).size).toBe(18);
    expect(ids("restricted", "v1.34").length).toBeGreaterThan(18);
  });

  const versions: readonly { readonly text: string; readonly want: number | string | undefined }[] =
    [
      { text: "", want: "latest" },
      { text: "latest", want: "latest" },
      { text: "v1.19", want: 19 },
      { text: "1.19", want: undefined },
      { text: "v1.019", want: undefined },
      { text: "v2.0", want: undefined },
      { text: "v1.1000", want: undefined },
    ];
  test.each(versions)("version '$text'", ({ text, want }) => {
    expect(parseStandardVersion(text)).toBe(want);
  });
});

describe("pods that are none", () => {
  test.each([
    { reason: "nothing", of: {} },
    { reason: "lists for objects", of: { containers: {}, volumes: 1, securityContext: [] } },
    { reason: "containers that are no objects", of: { containers: [null, 1, "x", []] } },
    {
      reason: "contexts that are no objects",
      of: secure({ capabilities: 1, seLinuxOptions: "x" }),
    },
  ])("$reason does not throw", ({ of }) => {
    const checks = standardChecks("restricted", "latest");
    expect(() => failedChecks(checks, podView(null, of))).not.toThrow();
  });
});
