// SPDX-License-Identifier: Apache-2.0

/**
 * Which lists of Kubernetes' kinds merge in a strategic merge patch, and by which keys: the `x-kubernetes-patch-*` and
 * `x-kubernetes-list-map-keys` of the OpenAPI document of Kubernetes 1.21.2, the one that kustomize/kyaml 0.21 carries
 * and so Kyverno 1.19 merges by. Only types with such a list below them are here. Made by walking that document.
 */
export type MergeField = {
  /** The type of the value, or of the items of a list, when there are merging lists below it. */
  readonly type?: string;
  /** The keys that tell items apart: `[""]` for items that are no objects. Absent for a value that is no merging list. */
  readonly keys?: readonly string[];
};

export type MergeType = Readonly<Record<string, MergeField>>;

/** The merge types of a kind; undefined for one without: all its lists are replaced. */
export function mergeTypeOf(apiVersion: string, kind: string): MergeType | undefined {
  const key = `${apiVersion}/${kind}`;
  if (metadataOnly.has(key)) return types["MetadataOnly"];
  const versions = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  return versions?.includes(apiVersion) === true ? mergeTypeNamed(kind) : undefined;
}

export const mergeTypeNamed = (name: string): MergeType | undefined =>
  Object.hasOwn(types, name) ? types[name] : undefined;

const metadata = { type: "ObjectMeta" } as const;
const conditions = { keys: ["type"] } as const;

const types: Readonly<Record<string, MergeType>> = {
  MetadataOnly: { metadata },
  APIService: { metadata, status: { type: "APIServiceStatus" } },
  APIServiceStatus: { conditions },
  CSINode: { metadata, spec: { type: "CSINodeSpec" } },
  CSINodeSpec: { drivers: { keys: ["name"] } },
  ComponentStatus: { conditions, metadata },
  Container: {
    env: { keys: ["name"] },
    ports: { keys: ["containerPort", "protocol"] },
    volumeDevices: { keys: ["devicePath"] },
    volumeMounts: { keys: ["mountPath"] },
  },
  CronJob: { metadata, spec: { type: "CronJobSpec" } },
  CronJobSpec: { jobTemplate: { type: "JobTemplateSpec" } },
  DaemonSet: { metadata, spec: { type: "DaemonSetSpec" }, status: { type: "DaemonSetStatus" } },
  DaemonSetSpec: { template: { type: "PodTemplateSpec" } },
  DaemonSetStatus: { conditions },
  Deployment: { metadata, spec: { type: "DeploymentSpec" }, status: { type: "DeploymentStatus" } },
  DeploymentSpec: { template: { type: "PodTemplateSpec" } },
  DeploymentStatus: { conditions },
  EphemeralContainer: {
    env: { keys: ["name"] },
    volumeDevices: { keys: ["devicePath"] },
    volumeMounts: { keys: ["mountPath"] },
  },
  EphemeralVolumeSource: { volumeClaimTemplate: { type: "PersistentVolumeClaimTemplate" } },
  Job: { metadata, spec: { type: "JobSpec" }, status: { type: "JobStatus" } },
  JobSpec: { template: { type: "PodTemplateSpec" } },
  JobStatus: { conditions },
  JobTemplateSpec: { metadata, spec: { type: "JobSpec" } },
  Kustomization: { configMapGenerator: { keys: ["name"] }, secretGenerator: { keys: ["name"] } },
  MutatingWebhookConfiguration: { metadata, webhooks: { keys: ["name"] } },
  Namespace: { metadata, status: { type: "NamespaceStatus" } },
  NamespaceStatus: { conditions },
  Node: { metadata, spec: { type: "NodeSpec" }, status: { type: "NodeStatus" } },
  NodeSpec: { podCIDRs: { keys: [""] } },
  NodeStatus: { addresses: { keys: ["type"] }, conditions },
  ObjectMeta: { finalizers: { keys: [""] }, ownerReferences: { keys: ["uid"] } },
  PersistentVolumeClaim: { metadata, status: { type: "PersistentVolumeClaimStatus" } },
  PersistentVolumeClaimStatus: { conditions },
  PersistentVolumeClaimTemplate: { metadata },
  Pod: { metadata, spec: { type: "PodSpec" }, status: { type: "PodStatus" } },
  PodDisruptionBudget: { metadata, status: { type: "PodDisruptionBudgetStatus" } },
  PodDisruptionBudgetStatus: { conditions },
  PodSpec: {
    containers: { type: "Container", keys: ["name"] },
    ephemeralContainers: { type: "EphemeralContainer", keys: ["name"] },
    hostAliases: { keys: ["ip"] },
    imagePullSecrets: { keys: ["name"] },
    initContainers: { type: "Container", keys: ["name"] },
    topologySpreadConstraints: { keys: ["topologyKey", "whenUnsatisfiable"] },
    volumes: { type: "Volume", keys: ["name"] },
  },
  PodStatus: { conditions, podIPs: { keys: ["ip"] } },
  PodTemplate: { metadata, template: { type: "PodTemplateSpec" } },
  PodTemplateSpec: { metadata, spec: { type: "PodSpec" } },
  ReplicaSet: { metadata, spec: { type: "ReplicaSetSpec" }, status: { type: "ReplicaSetStatus" } },
  ReplicaSetSpec: { template: { type: "PodTemplateSpec" } },
  ReplicaSetStatus: { conditions },
  ReplicationController: {
    metadata,
    spec: { type: "ReplicationControllerSpec" },
    status: { type: "ReplicationControllerStatus" },
  },
  ReplicationControllerSpec: { template: { type: "PodTemplateSpec" } },
  ReplicationControllerStatus: { conditions },
  Service: { metadata, spec: { type: "ServiceSpec" }, status: { type: "ServiceStatus" } },
  ServiceAccount: { metadata, secrets: { keys: ["name"] } },
  ServiceSpec: { ports: { keys: ["port", "protocol"] } },
  ServiceStatus: { conditions },
  StatefulSet: {
    metadata,
    spec: { type: "StatefulSetSpec" },
    status: { type: "StatefulSetStatus" },
  },
  StatefulSetSpec: { template: { type: "PodTemplateSpec" } },
  StatefulSetStatus: { conditions },
  ValidatingWebhookConfiguration: { metadata, webhooks: { keys: ["name"] } },
  Volume: { ephemeral: { type: "EphemeralVolumeSource" } },
};

/** The API versions of the kinds that have a type of their own name. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  APIService: ["apiregistration.k8s.io/v1", "apiregistration.k8s.io/v1beta1"],
  CSINode: ["storage.k8s.io/v1", "storage.k8s.io/v1beta1"],
  ComponentStatus: ["v1"],
  CronJob: ["batch/v1", "batch/v1beta1"],
  DaemonSet: ["apps/v1"],
  Deployment: ["apps/v1"],
  Job: ["batch/v1"],
  Kustomization: ["kustomize.config.k8s.io/v1beta1"],
  MutatingWebhookConfiguration: [
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1beta1",
  ],
  Namespace: ["v1"],
  Node: ["v1"],
  PersistentVolumeClaim: ["v1"],
  Pod: ["v1"],
  PodDisruptionBudget: ["policy/v1", "policy/v1beta1"],
  PodTemplate: ["v1"],
  ReplicaSet: ["apps/v1"],
  ReplicationController: ["v1"],
  Service: ["v1"],
  ServiceAccount: ["v1"],
  StatefulSet: ["apps/v1"],
  ValidatingWebhookConfiguration: [
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1beta1",
  ],
};

/** Kinds of which only the metadata has merging lists. */
const metadataOnly: ReadonlySet<string> = new Set([
  "apiextensions.k8s.io/v1/CustomResourceDefinition",
  "apiextensions.k8s.io/v1beta1/CustomResourceDefinition",
  "apps/v1/ControllerRevision",
  "authentication.k8s.io/v1/TokenRequest",
  "authentication.k8s.io/v1/TokenReview",
  "authentication.k8s.io/v1beta1/TokenReview",
  "authorization.k8s.io/v1/LocalSubjectAccessReview",
  "authorization.k8s.io/v1/SelfSubjectAccessReview",
  "authorization.k8s.io/v1/SelfSubjectRulesReview",
  "authorization.k8s.io/v1/SubjectAccessReview",
  "authorization.k8s.io/v1beta1/LocalSubjectAccessReview",
  "authorization.k8s.io/v1beta1/SelfSubjectAccessReview",
  "authorization.k8s.io/v1beta1/SelfSubjectRulesReview",
  "authorization.k8s.io/v1beta1/SubjectAccessReview",
  "autoscaling/v1/HorizontalPodAutoscaler",
  "autoscaling/v1/Scale",
  "autoscaling/v2beta1/HorizontalPodAutoscaler",
  "autoscaling/v2beta2/HorizontalPodAutoscaler",
  "certificates.k8s.io/v1/CertificateSigningRequest",
  "certificates.k8s.io/v1beta1/CertificateSigningRequest",
  "coordination.k8s.io/v1/Lease",
  "coordination.k8s.io/v1beta1/Lease",
  "discovery.k8s.io/v1/EndpointSlice",
  "discovery.k8s.io/v1beta1/EndpointSlice",
  "events.k8s.io/v1/Event",
  "events.k8s.io/v1beta1/Event",
  "extensions/v1beta1/Ingress",
  "flowcontrol.apiserver.k8s.io/v1beta1/FlowSchema",
  "flowcontrol.apiserver.k8s.io/v1beta1/PriorityLevelConfiguration",
  "networking.k8s.io/v1/Ingress",
  "networking.k8s.io/v1/IngressClass",
  "networking.k8s.io/v1/NetworkPolicy",
  "networking.k8s.io/v1beta1/Ingress",
  "networking.k8s.io/v1beta1/IngressClass",
  "node.k8s.io/v1/RuntimeClass",
  "node.k8s.io/v1beta1/RuntimeClass",
  "policy/v1beta1/Eviction",
  "policy/v1beta1/PodSecurityPolicy",
  "rbac.authorization.k8s.io/v1/ClusterRole",
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding",
  "rbac.authorization.k8s.io/v1/Role",
  "rbac.authorization.k8s.io/v1/RoleBinding",
  "rbac.authorization.k8s.io/v1beta1/ClusterRole",
  "rbac.authorization.k8s.io/v1beta1/ClusterRoleBinding",
  "rbac.authorization.k8s.io/v1beta1/Role",
  "rbac.authorization.k8s.io/v1beta1/RoleBinding",
  "scheduling.k8s.io/v1/PriorityClass",
  "scheduling.k8s.io/v1beta1/PriorityClass",
  "storage.k8s.io/v1/CSIDriver",
  "storage.k8s.io/v1/StorageClass",
  "storage.k8s.io/v1/VolumeAttachment",
  "storage.k8s.io/v1beta1/CSIDriver",
  "storage.k8s.io/v1beta1/CSIStorageCapacity",
  "storage.k8s.io/v1beta1/StorageClass",
  "storage.k8s.io/v1beta1/VolumeAttachment",
  "v1/Binding",
  "v1/ConfigMap",
  "v1/Endpoints",
  "v1/Event",
  "v1/LimitRange",
  "v1/PersistentVolume",
  "v1/ResourceQuota",
  "v1/Secret",
]);
