// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { rootNamespaceDefault } from "#responder/reachability/istio";

/** What the API server does not tell of the networks that isolations are planned for. */
export const isolationSettings = z
  .strictObject({
    /** Namespace whose AuthorizationPolicies are about the whole mesh: `meshConfig.rootNamespace`. */
    istioRootNamespace: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be the name of a namespace")
      .default(rootNamespaceDefault),
  })
  .prefault({});
