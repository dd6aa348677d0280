// SPDX-License-Identifier: Apache-2.0

/** One thing wrong with a document from outside, named by its path so that its author finds it. */
export type Problem = {
  /** Which document, e.g. `ValidatingPolicy/require-labels`; '' when it has no name yet. */
  readonly document: string;
  /** Path inside the document, e.g. `spec.validations[0].expression`; '' for the whole of it. */
  readonly path: string;
  /** What is wrong, what was received and what is allowed; one sentence without secret values. */
  readonly message: string;
};

export function formatProblem(problem: Problem): string {
  return [problem.document, problem.path, problem.message].filter((part) => part !== "").join(": ");
}
