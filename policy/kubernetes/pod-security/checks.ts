// SPDX-License-Identifier: Apache-2.0
import {
  appArmor,
  capabilitiesBaseline,
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostProbes,
  makeSeLinuxOptions,
  makeSysctls,
  privileged,
  procMount,
  seccompAnnotations,
  seccompBaseline,
  windowsHostProcess,
} from "#policy/kubernetes/pod-security/baseline";
import {
  allowPrivilegeEscalation,
  capabilitiesRestricted,
  exceptWindows,
  restrictedVolumes,
  runAsNonRoot,
  runAsUser,
  seccompRestricted,
} from "#policy/kubernetes/pod-security/restricted";
import type { PodCheck } from "#policy/kubernetes/pod-security/violation";

const seLinuxTypes = ["container_t", "container_init_t", "container_kvm_t"];
const sysctls0 = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
];
const sysctls27 = [...sysctls0, "net.ipv4.ip_local_reserved_ports"];
const sysctls29 = [
  ...sysctls27,
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
];
const sysctls32 = [...sysctls29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];

/**
 * The checks in the order in which upstream runs and reports them (k8s.io/pod-security-admission policy/check_*.go).
 * Pods in user namespaces are not spared: the relaxation is behind a gate in the version that Kyverno 1.19 uses.
 */
export const podChecks: readonly PodCheck[] = [
  {
    id: "allowPrivilegeEscalation",
    level: "restricted",
    versions: [
      { minor: 8, check: allowPrivilegeEscalation },
      { minor: 25, check: exceptWindows(allowPrivilegeEscalation) },
    ],
  },
  { id: "appArmorProfile", level: "baseline", versions: [{ minor: 0, check: appArmor }] },
  {
    id: "capabilities_baseline",
    level: "baseline",
    versions: [{ minor: 0, check: capabilitiesBaseline }],
  },
  {
    id: "capabilities_restricted",
    level: "restricted",
    versions: [
      { minor: 22, check: capabilitiesRestricted },
      { minor: 25, check: exceptWindows(capabilitiesRestricted) },
    ],
  },
  { id: "hostNamespaces", level: "baseline", versions: [{ minor: 0, check: hostNamespaces }] },
  { id: "hostPathVolumes", level: "baseline", versions: [{ minor: 0, check: hostPathVolumes }] },
  { id: "hostPorts", level: "baseline", versions: [{ minor: 0, check: hostPorts }] },
  {
    id: "hostProbesAndHostLifecycle",
    level: "baseline",
    versions: [{ minor: 34, check: hostProbes }],
  },
  { id: "privileged", level: "baseline", versions: [{ minor: 0, check: privileged }] },
  { id: "procMount", level: "baseline", versions: [{ minor: 0, check: procMount }] },
  {
    id: "restrictedVolumes",
    level: "restricted",
    versions: [{ minor: 0, check: restrictedVolumes }],
  },
  { id: "runAsNonRoot", level: "restricted", versions: [{ minor: 0, check: runAsNonRoot }] },
  { id: "runAsUser", level: "restricted", versions: [{ minor: 23, check: runAsUser }] },
  {
    id: "seLinuxOptions",
    level: "baseline",
    versions: [
      { minor: 0, check: makeSeLinuxOptions(seLinuxTypes) },
      { minor: 31, check: makeSeLinuxOptions([...seLinuxTypes, "container_engine_t"]) },
    ],
  },
  {
    id: "seccompProfile_baseline",
    level: "baseline",
    versions: [
      { minor: 0, check: seccompAnnotations },
      { minor: 19, check: seccompBaseline },
    ],
  },
  {
    id: "seccompProfile_restricted",
    level: "restricted",
    versions: [
      { minor: 19, check: seccompRestricted },
      { minor: 25, check: exceptWindows(seccompRestricted) },
    ],
  },
  {
    id: "sysctls",
    level: "baseline",
    versions: [
      { minor: 0, check: makeSysctls(sysctls0) },
      { minor: 27, check: makeSysctls(sysctls27) },
      { minor: 29, check: makeSysctls(sysctls29) },
      { minor: 32, check: makeSysctls(sysctls32) },
    ],
  },
  {
    id: "windowsHostProcess",
    level: "baseline",
    versions: [{ minor: 0, check: windowsHostProcess }],
  },
];
