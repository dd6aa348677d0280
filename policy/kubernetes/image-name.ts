// SPDX-License-Identifier: Apache-2.0
import { byteLength } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";
import { parseUrl } from "#policy/kubernetes/url";

/** An image's name with the defaults of Docker Hub filled in. */
export type ImageName = {
  /** e.g. `index.docker.io`, `ghcr.io`, `localhost:5000` */
  readonly registry: string;
  /** e.g. `library/nginx`, `kyverno/kyverno` */
  readonly repository: string;
  /** The tag, `latest` where there is neither tag nor digest, '' where there is only a digest. */
  readonly tag: string;
  /** e.g. `sha256:...`, '' for none */
  readonly digest: string;
};

const dockerHub = "index.docker.io";

/**
 * Reads an image's name as go-containerregistry's name.ParseReference does with its weak rules, which is what Kyverno's
 * CEL functions use. Never throws.
 */
export function parseImageName(text: string): Parsed<ImageName> {
  const tagged = parseTagged(text);
  if (tagged.ok) return parsed({ ...tagged.value, tag: tagged.value.tag || "latest" });
  const digested = parseDigested(text);
  return digested.ok ? digested : unparsed(`could not parse reference: ${text}`);
}

/** What tells the image apart within its repository: tag, digest, or `tag@digest`. */
export function imageIdentifier(image: ImageName): string {
  if (image.digest === "") return image.tag;
  return image.tag === "" ? image.digest : `${image.tag}@${image.digest}`;
}

function parseTagged(text: string): Parsed<ImageName> {
  const colon = text.lastIndexOf(":");
  // A colon before a slash belongs to the registry's port.
  const hasTag = colon !== -1 && !text.slice(colon + 1).includes("/");
  const tag = hasTag ? text.slice(colon + 1) : "";
  if (tag !== "" && !/^[A-Za-z0-9_.-]{1,127}$/.test(tag)) return unparsed("tag is not valid");
  const place = parseRepository(hasTag ? text.slice(0, colon) : text);
  return place.ok ? parsed({ ...place.value, tag, digest: "" }) : place;
}

function parseDigested(text: string): Parsed<ImageName> {
  const parts = text.split("@");
  const [base = "", digest = ""] = parts;
  if (parts.length !== 2 || !/^[sh:0-9a-f]{71}$/.test(digest)) {
    return unparsed("digest is not valid");
  }
  const tagged = parseTagged(base);
  if (tagged.ok) return parsed({ ...tagged.value, digest });
  const place = parseRepository(base);
  return place.ok ? parsed({ ...place.value, tag: "", digest }) : place;
}

function parseRepository(
  text: string,
): Parsed<{ readonly registry: string; readonly repository: string }> {
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  const hasRegistry = slash !== -1 && /[.:]/.test(first);
  const name = hasRegistry ? text.slice(slash + 1) : text;
  const length = byteLength(name);
  if (length < 2 || length > 255 || !/^[a-z0-9_\-./]+$/.test(name)) {
    return unparsed("repository is not valid");
  }
  const registry = registryOf(hasRegistry ? first : "");
  if (registry === undefined) return unparsed("registry is not valid");
  const repository = registry === dockerHub && !name.includes("/") ? `library/${name}` : name;
  return parsed({ registry, repository });
}

function registryOf(name: string): string | undefined {
  if (name === "" || name === "docker.io") return dockerHub;
  // Any scheme serves: what must hold is that the whole name is an authority.
  const url = parseUrl(`oci://${name}`);
  return url.ok && url.value.host === name ? name : undefined;
}
