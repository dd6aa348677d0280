// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import type { Json } from "#policy/json";
import { at, field, isArray, isObject, textAt } from "#policy/json";

/** How to reach an API server and be known there. `token` is asked before each request since mounted tokens rotate. */
export type Connection = {
  readonly server: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly verify: boolean;
  readonly token: () => Promise<string | undefined>;
};

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/** A mounted token is read again after this time; kubelet renews it long before it ends. */
const tokenAgeMsMax = 60_000;

/** The connection of a pod's service account. */
export async function inCluster(host: string, port: string): Promise<Connection> {
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    ca: await readFile(`${serviceAccount}/ca.crt`, "utf8"),
    cert: undefined,
    key: undefined,
    verify: true,
    token: fileToken(`${serviceAccount}/token`),
  };
}

/**
 * Reads a kubeconfig file's current context (or the named one). Certificates, tokens and token files are read here;
 * `exec` and `auth-provider` users go through @kubernetes/client-node, which is loaded only then (0.5 s).
 * Throws with the path of what is missing.
 */
export async function fromKubeconfig(file: string, contextName?: string): Promise<Connection> {
  const parsed: unknown = parse(await readFile(file, "utf8"));
  if (!isObject(parsed)) throw new Error(`${file}: is no kubeconfig`);
  const wanted = contextName ?? textAt(parsed, ["current-context"]);
  const context = named(parsed["contexts"], wanted, "context");
  const cluster = named(parsed["clusters"], textAt(context, ["cluster"]), "cluster");
  const user = named(parsed["users"], textAt(context, ["user"]), "user");
  const server = textAt(cluster, ["server"]);
  if (cluster === undefined || server === "") {
    throw new Error(`${file}: context "${wanted}" names no cluster with a server`);
  }
  const base = dirname(file);
  if (field(user, "exec") !== undefined || field(user, "auth-provider") !== undefined) {
    return viaClientNode(file, wanted);
  }
  const tokenFile = textAt(user, ["tokenFile"]);
  const token = textAt(user, ["token"]);
  return {
    server,
    ca: await material(cluster, "certificate-authority", base),
    cert: await material(user, "client-certificate", base),
    key: await material(user, "client-key", base),
    verify: field(cluster, "insecure-skip-tls-verify") !== true,
    token:
      tokenFile === ""
        ? () => Promise.resolve(token === "" ? undefined : token)
        : fileToken(resolve(base, tokenFile)),
  };
}

function named(list: Json | undefined, name: string, member: string): Json | undefined {
  if (!isArray(list)) return undefined;
  return at(
    list.find((entry) => textAt(entry, ["name"]) === name),
    [member],
  );
}

async function material(
  holder: Json | undefined,
  name: string,
  base: string,
): Promise<string | undefined> {
  const data = textAt(holder, [`${name}-data`]);
  if (data !== "") return Buffer.from(data, "base64").toString("utf8");
  const file = textAt(holder, [name]);
  return file === "" ? undefined : readFile(resolve(base, file), "utf8");
}

function fileToken(file: string): () => Promise<string> {
  let token = "";
  let readAtMs = -Infinity;
  return async () => {
    // The only clock of this file: how long ago the token was read does not decide anything else.
    if (performance.now() - readAtMs > tokenAgeMsMax) {
      token = (await readFile(file, "utf8")).trim();
      readAtMs = performance.now();
    }
    return token;
  };
}

async function viaClientNode(file: string, context: string): Promise<Connection> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  config.loadFromFile(file);
  config.setCurrentContext(context);
  const server = config.getCurrentCluster()?.server ?? "";
  const options: {
    ca?: unknown;
    cert?: unknown;
    key?: unknown;
    headers?: Record<string, string>;
  } = {};
  await config.applyToHTTPSOptions(options);
  const text = (value: unknown): string | undefined =>
    typeof value === "string" || value instanceof Uint8Array ? value.toString() : undefined;
  return {
    server,
    ca: text(options.ca),
    cert: text(options.cert),
    key: text(options.key),
    verify: config.getCurrentCluster()?.skipTLSVerify !== true,
    token: async () => {
      const fresh: { headers?: Record<string, string> } = {};
      await config.applyToHTTPSOptions(fresh);
      const header = Object.entries(fresh.headers ?? {}).find(
        ([name]) => name.toLowerCase() === "authorization",
      );
      return header?.[1].replace(/^Bearer /, "");
    },
  };
}
