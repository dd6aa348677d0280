// SPDX-License-Identifier: Apache-2.0
import { mayBeAmount, mayBeDuration } from "#policy/jmespath/amount-text";
import {
  faultIn,
  listOf,
  numberOf,
  takes,
  valueOf,
  type Arguments,
  type FunctionTable,
  type Outcome,
} from "#policy/jmespath/functions/signature";
import { formatFloat } from "#policy/jmespath/go-format";
import { QueryFailure } from "#policy/jmespath/query";
import { failed, toJson, type Value } from "#policy/jmespath/values";
import { formatDuration, parseDuration } from "#policy/kubernetes/duration";
import {
  addQuantities,
  formatQuantity,
  makeQuantity,
  parseQuantity,
  quantityAsFloat,
  quantityOfInteger,
  subtractQuantities,
  type Quantity,
} from "#policy/kubernetes/quantity";

type Operand =
  | { readonly kind: "scalar"; readonly value: number }
  | { readonly kind: "quantity"; readonly value: Quantity }
  /** Nanoseconds. */
  | { readonly kind: "duration"; readonly value: bigint };

/** Arithmetic over numbers, quantities and durations (Kyverno pkg/engine/jmespath/arithmetic.go). */
export const arithmeticFunctions: FunctionTable = {
  add: takes(["any", "any"], (args) => combine("add", args, add)),
  divide: takes(["any", "any"], (args) => combine("divide", args, divide)),
  modulo: takes(["any", "any"], (args) => combine("modulo", args, modulo)),
  multiply: takes(["any", "any"], (args) => combine("multiply", args, multiply)),
  round: takes(["number", "number"], round),
  subtract: takes(["any", "any"], (args) => combine("subtract", args, subtract)),
  sum: takes(["array"], sum),
};

type Operation = (a: Operand, b: Operand, name: string) => Outcome;

function combine(name: string, args: Arguments, operation: Operation): Outcome {
  const left = readOperand(valueOf(args, 0));
  const right = readOperand(valueOf(args, 1));
  if (left === undefined || right === undefined) return faultIn(name, "invalid operands");
  return operation(left, right, name);
}

/** A text that can be both is a quantity: `5m` is five thousandths, whatever the other operand is. */
function readOperand(value: Value): Operand | undefined {
  if (typeof value === "number") return { kind: "scalar", value };
  if (typeof value !== "string" || !mayBeAmount(value)) return undefined;
  const quantity = parseQuantity(value);
  if (quantity.ok) return { kind: "quantity", value: quantity.value };
  const duration = mayBeDuration(value) ? parseDuration(value) : undefined;
  return duration?.ok === true ? { kind: "duration", value: duration.value } : undefined;
}

const mismatch = (name: string): QueryFailure => faultIn(name, "Types mismatch");
const zeroDivisor = (name: string): QueryFailure => faultIn(name, "Zero divisor passed");

const add: Operation = (a, b, name) => {
  if (a.kind === "quantity" && b.kind === "quantity") {
    return formatQuantity(addQuantities(a.value, b.value));
  }
  if (a.kind === "duration" && b.kind === "duration") return durationText(a.value + b.value);
  return a.kind === "scalar" && b.kind === "scalar" ? a.value + b.value : mismatch(name);
};

const subtract: Operation = (a, b, name) => {
  if (a.kind === "quantity" && b.kind === "quantity") {
    return formatQuantity(subtractQuantities(a.value, b.value));
  }
  if (a.kind === "duration" && b.kind === "duration") return durationText(a.value - b.value);
  return a.kind === "scalar" && b.kind === "scalar" ? a.value - b.value : mismatch(name);
};

const multiply: Operation = (a, b, name) => {
  if (b.kind !== "scalar") return a.kind === "scalar" ? multiply(b, a, name) : mismatch(name);
  if (a.kind === "scalar") return a.value * b.value;
  if (a.kind === "duration") return secondsText(seconds(a.value) * b.value);
  const factor = parseQuantity(formatFloat(b.value));
  if (!factor.ok) return failed(factor.message);
  const { unscaled, scale } = factor.value;
  return formatQuantity(
    makeQuantity(a.value.unscaled * unscaled, a.value.scale + scale, a.value.format),
  );
};

const divide: Operation = (a, b, name) => {
  if (b.kind === "scalar") return divideByScalar(a, b.value, name);
  if (a.kind === "quantity" && b.kind === "quantity") {
    const divisor = quantityAsFloat(b.value);
    return divisor === 0 ? zeroDivisor(name) : quantityAsFloat(a.value) / divisor;
  }
  if (a.kind !== "duration" || b.kind !== "duration") return mismatch(name);
  return b.value === 0n ? zeroDivisor(name) : seconds(a.value) / seconds(b.value);
};

function divideByScalar(a: Operand, divisor: number, name: string): Outcome {
  if (divisor === 0) return zeroDivisor(name);
  if (a.kind === "scalar") return a.value / divisor;
  if (a.kind === "duration") return secondsText(seconds(a.value) / divisor);
  const parsedDivisor = parseQuantity(formatFloat(divisor));
  if (!parsedDivisor.ok) return failed(parsedDivisor.message);
  return formatQuantity(quotient(a.value, parsedDivisor.value));
}

/** As many decimals as the operand that has more of them, rounded towards zero (inf.Dec QuoRound). */
function quotient(a: Quantity, b: Quantity): Quantity {
  const scale = Math.min(a.scale, b.scale);
  const shift = a.scale - b.scale - scale;
  const dividend = a.unscaled * 10n ** BigInt(Math.max(shift, 0));
  const divisor = b.unscaled * 10n ** BigInt(Math.max(-shift, 0));
  return makeQuantity(dividend / divisor, scale, a.format);
}

const modulo: Operation = (a, b, name) => {
  if (a.kind === "duration" && b.kind === "duration") {
    return b.value === 0n ? zeroDivisor(name) : durationText(a.value % b.value);
  }
  if (a.kind === "quantity" && b.kind === "quantity") {
    const rest = wholeModulo(quantityAsFloat(a.value), quantityAsFloat(b.value), name);
    if (rest instanceof QueryFailure) return rest;
    return formatQuantity(quantityOfInteger(BigInt(rest), a.value.format));
  }
  return a.kind === "scalar" && b.kind === "scalar"
    ? wholeModulo(a.value, b.value, name)
    : mismatch(name);
};

function wholeModulo(a: number, b: number, name: string): number | QueryFailure {
  if (!isInt64(a) || !isInt64(b)) {
    return faultIn(name, "Non-integer argument(s) passed for modulo");
  }
  return b === 0 ? zeroDivisor(name) : (a % b) + 0;
}

const isInt64 = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < 2 ** 63;

function round(args: Arguments): Outcome {
  const places = numberOf(args, 1);
  if (!Number.isInteger(places)) {
    return faultIn("round", "Non-integer argument(s) passed for round off");
  }
  if (places < 0) return faultIn("round", "argument is out of bounds");
  const shift = 10 ** places;
  const shifted = numberOf(args, 0) * shift;
  // Go rounds halves away from zero, JavaScript towards positive infinity.
  const rounded = (Math.sign(shifted) * Math.round(Math.abs(shifted))) / shift;
  return Number.isFinite(rounded) ? rounded : faultIn("round", "the result is no number");
}

function sum(args: Arguments): Outcome {
  const [first, ...rest] = listOf(args, 0);
  if (first === undefined) {
    return faultIn("sum", "at least one element in the array is required");
  }
  let total: Value = first;
  for (const item of rest) {
    const next: Outcome = combine("sum", [total, item], add);
    if (next instanceof QueryFailure) return next;
    total = next;
  }
  return toJson(total);
}

/** Go's durations wrap around an int64. */
const durationText = (nanoseconds: bigint): string =>
  formatDuration(BigInt.asIntN(64, nanoseconds));

function seconds(nanoseconds: bigint): number {
  const unit = 1_000_000_000n;
  return Number(nanoseconds / unit) + Number(nanoseconds % unit) / 1e9;
}

/** A double beyond an int64 becomes the smallest one, as on Go's usual processors. */
function secondsText(value: number): Outcome {
  const nanoseconds = Math.trunc(value * 1e9);
  const fits = Math.abs(nanoseconds) < 2 ** 63;
  return formatDuration(fits ? BigInt(nanoseconds) : -(2n ** 63n));
}
