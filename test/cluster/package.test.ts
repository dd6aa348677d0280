// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Json, parseJson, textAt } from "#policy/json";
import { packageReader } from "#test/cluster/binaries";
import { type Authority, makeAuthority } from "#test/support/certificates";
import { callServer, channelOf } from "#test/support/function-process";
import { type Child, eventually, freePort, start } from "#test/support/processes";
import { repository } from "#test/support/shared";

// The package as Crossplane reads it: its own extraction, parser and linter, on what our script makes.
const reader = packageReader();
const directory = mkdtempSync(join(tmpdir(), "parapet-package-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const addLayer = (layout: string, root = "package/function"): void => {
  const script = join(repository, "package/xpkg/add-package-layer.ts");
  execFileSync(process.execPath, [script, layout, root], { cwd: repository });
};
const readPackage = (path: string): Json =>
  parseJson(execFileSync(reader ?? "", [path], { encoding: "utf8" }));
const described = {
  name: "function-parapet",
  capabilities: ["composition", "operation"],
  objects: 1,
};

/** An OCI layout of an image with one layer that holds nothing: what a build leaves, without the minutes of one. */
function makeLayout(name: string): string {
  const layout = join(directory, name);
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const write = (bytes: Buffer) => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hex), bytes);
    return { digest: `sha256:${hex}`, size: bytes.length };
  };
  const tar = Buffer.alloc(1024);
  const layer = write(gzipSync(tar));
  const diff = `sha256:${createHash("sha256").update(tar).digest("hex")}`;
  const config = {
    architecture: "amd64",
    os: "linux",
    config: { User: "1000:1000" },
    rootfs: { type: "layers", diff_ids: [diff] },
    history: [{ created_by: "nothing" }],
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      ...write(Buffer.from(JSON.stringify(config))),
    },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...layer }],
  };
  const entry = { mediaType: manifest.mediaType, ...write(Buffer.from(JSON.stringify(manifest))) };
  writeFileSync(
    join(layout, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
  );
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return layout;
}

describe.skipIf(reader === undefined)("the package layer", () => {
  it("is a Function package to Crossplane's parser and linter, and leaves the image's configuration alone", () => {
    const layout = makeLayout("good");
    addLayer(layout);
    expect(readPackage(layout)).toMatchObject({ ...described, user: "1000:1000" });
  });

  it("has the same bytes each time", () => {
    const [one, two] = ["one", "two"].map((name) => {
      const layout = makeLayout(name);
      addLayer(layout);
      return readFileSync(join(layout, "index.json"), "utf8");
    });
    expect(one).toBe(two);
  });

  it("is refused by the linter with two metadata documents, so that the reader can say no", () => {
    const root = join(directory, "double");
    cpSync(join(repository, "package/function"), root, { recursive: true });
    cpSync(join(root, "crossplane.yaml"), join(root, "input/second.yaml"));
    const layout = makeLayout("two-metas");
    addLayer(layout, root);
    const done = spawnSync(reader ?? "", [layout], { encoding: "utf8" });
    expect([done.status, done.stderr]).toEqual([
      1,
      expect.stringContaining("not exactly one package meta type"),
    ]);
  });
});

const tools = ["buildah", "skopeo", "debootstrap"];
const missing = tools.filter((tool) => spawnSync("which", [tool]).status !== 0);
const wanted = process.env["PARAPET_IMAGE_TESTS"] === "true";
const unasked = "PARAPET_IMAGE_TESTS=true is not set: they take minutes, root and npm's registry";
const why = wanted ? missing.map((tool) => `${tool} is missing`).join(", ") : unasked;
if (why !== "") console.warn(`NOT RUN: the tests that build the image (${why})`);

// Not even skipped where they are not asked for: with CI=true a skipped test is a failed one.
describe.each(wanted && missing.length === 0 ? ["the image"] : [])("%s", () => {
  const cache = join(
    process.env["PARAPET_CACHE"] ?? join(homedir(), ".cache/parapet"),
    "node-image",
  );
  const store = join(directory, "store");
  const flags = `--root ${store} --runroot ${join(directory, "run")} --storage-driver vfs`;
  const env = { ...process.env, BUILDAH_FLAGS: flags };
  const buildah = (...args: readonly string[]): string =>
    execFileSync("buildah", [...flags.split(" "), ...args], { encoding: "utf8" }).trim();
  const xpkg = join(directory, "function-parapet.xpkg");
  let authority: Authority;
  let child: Child | undefined;
  beforeAll(() => {
    const node = execFileSync(join(repository, "test/support/node-image.sh"), [cache], {
      env,
      encoding: "utf8",
    })
      .trim()
      .split("\n")
      .at(-1);
    const npmrc = join(directory, "npmrc");
    writeFileSync(npmrc, "cafile=/etc/ssl/certs/ca-certificates.crt\n");
    const mounts = [
      "/etc/ssl/certs:/etc/ssl/certs:ro",
      `${npmrc}:/root/.npmrc:ro`,
      `${join(homedir(), ".npm")}:/root/.npm`,
    ];
    execFileSync(join(repository, "package/xpkg/build.sh"), [xpkg], {
      env: {
        ...env,
        NODE_IMAGE: node ?? "",
        BUD_FLAGS: [
          "--isolation chroot --pull=never --network host",
          ...mounts.map((mount) => `-v ${mount}`),
        ].join(" "),
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
    authority = makeAuthority(join(directory, "ca"));
  }, 1_200_000);
  afterAll(async () => {
    await child?.stop();
  });

  it.each([
    { form: "the .xpkg file", path: xpkg },
    { form: "the OCI layout", path: `${xpkg}.oci` },
  ])("is a package as $form", ({ path }) => {
    expect(readPackage(path)).toMatchObject({
      ...described,
      user: "1000:1000",
      entrypoint: ["node", "function/main.js"],
    });
  });

  it("answers Crossplane over mutual TLS, as another user than its own, and nobody else", async () => {
    const container = buildah("from", "--pull=never", "localhost/function-parapet:package");
    const root = buildah("mount", container);
    cpSync(authority.folder("server", ["localhost"]), join(root, "tls/server"), {
      recursive: true,
    });
    execFileSync("chmod", ["-R", "a+rX", join(root, "tls")]);
    const port = await freePort();
    const command = `cd /app && exec node function/main.js --address=127.0.0.1:${port} --client-san=crossplane.crossplane-system`;
    child = start(
      "function image",
      "chroot",
      ["--userspec=2000:2000", root, "/bin/sh", "-c", command],
      {
        logFile: join(directory, "image.log"),
        env: {
          TLS_SERVER_CERTS_DIR: "/tls/server",
          PARAPET_METRICS_ADDRESS: "127.0.0.1:0",
          NODE_ENV: "production",
        },
      },
    );
    const running = child;
    await eventually("the function in the image listens", () => {
      if (running.exitCode() !== null) throw new Error(running.log());
      return running.log().includes('"listening"');
    });
    const crossplane = authority.issue("crossplane", { names: ["crossplane.crossplane-system"] });
    const reply = await callServer(port, channelOf(authority, crossplane));
    const answer = RunFunctionResponse.decode(reply.body);
    expect(answer.conditions.map(({ type, reason }) => `${type} ${reason}`)).toContain(
      "PolicyCompliant Held",
    );
    const stranger = await callServer(port, channelOf(authority, undefined));
    expect(stranger.code).not.toBe(0);
  });

  it("holds the function and no more: no sources, no packages, nothing writable", () => {
    const container = buildah("from", "--pull=never", "localhost/function-parapet:package");
    const root = buildah("mount", container);
    expect(readdirSync(join(root, "app")).sort()).toEqual(["LICENSE", "function", "package.json"]);
    const user = textAt(
      parseJson(buildah("inspect", "--type", "image", "localhost/function-parapet:package")),
      ["OCIv1", "config", "User"],
    );
    expect(user).toBe("1000:1000");
  });
});
