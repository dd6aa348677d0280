// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from "node:util";

export type Options = {
  /** `host:port`. */
  readonly address: string;
  /** `host:port` of the metrics; '' for none. */
  readonly metricsAddress: string;
  readonly insecure: boolean;
  /** Folder with tls.crt, tls.key and ca.crt. */
  readonly certsDir: string;
  /** Allowed DNS names of the caller's certificate; empty allows every certificate of the authority. */
  readonly clientSans: readonly string[];
  readonly receiveBytesMax: number;
  readonly drainSeconds: number;
  /** Threads that evaluate; 1 for the main thread alone, undefined for as many as the machine is good for. */
  readonly workers: number | undefined;
  /** How long one call may be evaluated. */
  readonly callSeconds: number;
  /** Where approvals for cluster-scoped composites live; '' for nowhere. */
  readonly approvalNamespace: string;
};

export type ParsedOptions =
  | { readonly kind: "run"; readonly options: Options }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly problems: readonly string[] };

export const help = `Usage: parapet-function [options]

Crossplane composition function: injects, completes, judges and holds back composed
resources by policy. Every option can also be set by the environment variable named.

  --address HOST:PORT          where to listen (default 0.0.0.0:9443, PARAPET_ADDRESS)
  --tls-server-certs-dir DIR   folder with tls.crt, tls.key and ca.crt; clients must show
                               a certificate of that authority (TLS_SERVER_CERTS_DIR)
  --insecure                   listen without TLS: for development and rendering only
  --client-san NAME            accept only clients whose certificate carries this DNS name,
                               e.g. crossplane.crossplane-system; may be repeated
                               (PARAPET_CLIENT_SAN, separated by commas)
  --max-recv-message-size MIB  largest request in MiB, 1 to 512 (default 64,
                               PARAPET_MAX_RECV_MESSAGE_SIZE)
  --drain-seconds SECONDS      how long calls may take to finish after SIGTERM, 0 to 600
                               (default 20, PARAPET_DRAIN_SECONDS)
  --workers N                  threads that evaluate calls, 1 to 64, while the main thread reads
                               and writes; 1 for no thread beside the main one (default: the
                               processors that the container may use, but at most 4, and as
                               many as its memory is enough for; PARAPET_WORKERS)
  --call-seconds SECONDS       how long one call may be evaluated before its worker is ended and
                               the call answered with an error, 1 to 600 (default 30,
                               PARAPET_CALL_SECONDS); has no effect with --workers 1
  --approval-namespace NAME    namespace of approvals for cluster-scoped composites
                               (PARAPET_APPROVAL_NAMESPACE)
  --metrics-address HOST:PORT  where GET /metrics is answered in Prometheus' text format, and
                               /healthz and /readyz for probes, without TLS; "" for nowhere
                               (default :8080, PARAPET_METRICS_ADDRESS). A port that cannot be
                               had is logged, and calls are answered all the same
  --help                       this text
`;

const flags = {
  address: { type: "string" },
  "tls-server-certs-dir": { type: "string" },
  "metrics-address": { type: "string" },
  insecure: { type: "boolean" },
  "client-san": { type: "string", multiple: true },
  "max-recv-message-size": { type: "string" },
  "drain-seconds": { type: "string" },
  workers: { type: "string" },
  "call-seconds": { type: "string" },
  "approval-namespace": { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Reads the command line, with the environment behind it. Names every problem, not only the first. */
export function parseOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  const read = readFlags(args);
  if ("problem" in read) return { kind: "wrong", problems: [read.problem] };
  const { values } = read;
  if (values.help === true) return { kind: "help" };
  const problems: string[] = [];
  const sans = values["client-san"] ?? (env["PARAPET_CLIENT_SAN"] ?? "").split(",");
  const options: Options = {
    address: values.address ?? env["PARAPET_ADDRESS"] ?? "0.0.0.0:9443",
    metricsAddress: values["metrics-address"] ?? env["PARAPET_METRICS_ADDRESS"] ?? ":8080",
    insecure: values.insecure === true,
    certsDir: values["tls-server-certs-dir"] ?? env["TLS_SERVER_CERTS_DIR"] ?? "",
    clientSans: sans.map((san) => san.trim()).filter((san) => san !== ""),
    receiveBytesMax:
      1024 *
      1024 *
      wholeNumber(
        {
          flag: "--max-recv-message-size",
          text: values["max-recv-message-size"] ?? env["PARAPET_MAX_RECV_MESSAGE_SIZE"] ?? "64",
          min: 1,
          max: 512,
        },
        problems,
      ),
    drainSeconds: wholeNumber(
      {
        flag: "--drain-seconds",
        text: values["drain-seconds"] ?? env["PARAPET_DRAIN_SECONDS"] ?? "20",
        min: 0,
        max: 600,
      },
      problems,
    ),
    workers: workersIn(values.workers ?? env["PARAPET_WORKERS"] ?? "", problems),
    callSeconds: wholeNumber(
      {
        flag: "--call-seconds",
        text: values["call-seconds"] ?? env["PARAPET_CALL_SECONDS"] ?? "30",
        min: 1,
        max: 600,
      },
      problems,
    ),
    approvalNamespace: values["approval-namespace"] ?? env["PARAPET_APPROVAL_NAMESPACE"] ?? "",
  };
  problems.push(...contradictions(options));
  return problems.length === 0 ? { kind: "run", options } : { kind: "wrong", problems };
}

type Values = {
  readonly address?: string;
  readonly "tls-server-certs-dir"?: string;
  readonly "metrics-address"?: string;
  readonly insecure?: boolean;
  readonly "client-san"?: readonly string[];
  readonly "max-recv-message-size"?: string;
  readonly "drain-seconds"?: string;
  readonly workers?: string;
  readonly "call-seconds"?: string;
  readonly "approval-namespace"?: string;
  readonly help?: boolean;
};

function readFlags(args: readonly string[]): { values: Values } | { problem: string } {
  try {
    const { values } = parseArgs({ args: [...args], options: flags, strict: true });
    return { values };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : "the command line is not readable" };
  }
}

function contradictions(options: Options): readonly string[] {
  const problems: string[] = [];
  if (!options.insecure && options.certsDir === "") {
    problems.push(
      "no certificates: name their folder by --tls-server-certs-dir or TLS_SERVER_CERTS_DIR, or give --insecure for development",
    );
  }
  if (options.insecure && options.clientSans.length > 0) {
    problems.push("--client-san needs TLS and contradicts --insecure");
  }
  if (!isAddress(options.address)) {
    problems.push(`--address must be HOST:PORT, got ${JSON.stringify(options.address)}`);
  }
  const { metricsAddress } = options;
  if (metricsAddress !== "" && !isAddress(metricsAddress)) {
    problems.push(`--metrics-address must be HOST:PORT, got ${JSON.stringify(metricsAddress)}`);
  }
  return problems;
}

function isAddress(text: string): boolean {
  const parts = /^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]*):(\d{1,5})$/.exec(text);
  return parts !== null && Number(parts[1]) <= 65_535;
}

const workersIn = (text: string, problems: string[]): number | undefined =>
  text === "" ? undefined : wholeNumber({ flag: "--workers", text, min: 1, max: 64 }, problems);

type NumberFlag = {
  readonly flag: string;
  readonly text: string;
  readonly min: number;
  readonly max: number;
};

function wholeNumber({ flag, text, min, max }: NumberFlag, problems: string[]): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  problems.push(
    `${flag} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`,
  );
  return min;
}
