// SPDX-License-Identifier: Apache-2.0
import { CelError } from "./values.ts";

/** Steps that one expression may take: PerCallLimit in k8s.io/apiserver/pkg/apis/cel/config.go. */
export const expressionStepsMax = 1_000_000;
/** Steps of all expressions of one policy on one request: RuntimeCELCostBudget in the same file. */
export const policyStepsMax = 10_000_000;
/** Steps of all match conditions of one policy: RuntimeCELCostBudgetMatchConditions in the same file. */
export const matchConditionStepsMax = 2_500_000;

/** Counts the steps of the expressions that share it; one per policy and request. */
export type Budget = {
  /** Steps taken so far by all expressions. */
  used: number;
  /** Where the running expression must stop; set by the program. */
  stop: number;
  readonly total: number;
  readonly perExpression: number;
};

/** A fresh budget; without arguments that of one policy. */
export const makeBudget = (total = policyStepsMax, perExpression = expressionStepsMax): Budget => ({
  used: 0,
  stop: Math.min(total, perExpression),
  total,
  perExpression,
});

/** The text is cel-go's; Kubernetes tells apart which of the two limits was hit by its own accounting. */
export const budgetExceeded = new CelError(
  "operation cancelled: actual cost limit exceeded",
  "budget",
);
