// All that can be watched here: channels, the resolvers' streams, and with the API key assets and mounts.
// Each has a `ref`, the name that a layout's address uses.

import { address, apiKey, getJson, request } from "./api.js";
import { bytes, length } from "./format.js";
import { channelsPath, forgetGrant, renew } from "./grant.js";
import { parseChannels } from "./watch/m3u.js";

const CHANNELS_MS = 30_000;
const FIRST_CHANNEL_MS = 4000;
const PRIVATE = "This gateway is private. Open the link that you were given, or enter the API key under Status.";
const AWAY = "The gateway does not answer. This page keeps trying.";

class Library {
  /** null until the gateway has said. */
  channels = $state.raw(null);
  streams = $state.raw([]);
  assets = $state.raw([]);
  mounts = $state.raw([]);
  notice = $state("");
  #absent = new Set();
  #opened = new Set();
  #reading = null;

  /** Sections as they are listed; empty ones are left out. */
  get sections() {
    const all = [["Channels", this.channels ?? []], ["Streams", this.streams], ["Library", this.assets], ["Mounts", this.mounts]];
    return all.filter(([, items]) => items.length).map(([title, items]) => ({ title, items }));
  }

  find(ref) {
    for (const list of [this.channels ?? [], this.streams, this.assets, this.mounts]) {
      const item = list.find((item) => item.ref === ref);
      if (item) return item;
    }
    return null;
  }

  /** Reads now and from then on. */
  async follow() {
    if (!document.hidden || !this.channels) await this.read();
    setTimeout(() => this.follow(), this.channels?.length ? CHANNELS_MS : FIRST_CHANNEL_MS);
  }

  /** Whoever asks while it is being read waits for the same answer. */
  read() {
    const all = () => Promise.all([this.#readChannels(), this.#optional("streams", "streams/all", readStreams), this.#withKey()]);
    this.#reading ??= all().finally(() => (this.#reading = null));
    return this.#reading;
  }

  /** What the key has shown. */
  forget() {
    forgetGrant();
    Object.assign(this, { assets: [], mounts: [] });
  }

  /** What the player plays: {url, kind}. Each call may give another address, since they expire. */
  async open(ref) {
    const [kind, ...rest] = ref.split(":");
    if (kind === "asset") return openAsset(rest.join(":"));
    if (!this.find(ref)) await this.read();
    const item = this.find(ref);
    if (!item) throw new Error(this.notice || "there is no such stream on this gateway");
    if (item.kind === "stream") return openStream(item);
    // A grant in the address has its time, and so the list is read anew for another try.
    if (this.#opened.has(ref)) await this.#readChannels();
    this.#opened.add(ref);
    return { url: (this.find(ref) ?? item).url, kind: item.kind === "mount" ? "file" : "hls" };
  }

  /** Forgives a gateway that is away: the list that was shown stays, and players look after themselves. */
  async #readChannels() {
    try {
      const text = await readList();
      this.channels = parseChannels(text, address("")).map((channel) => ({ ...channel, kind: "channel", ref: channel.id, note: channel.group }));
      this.notice = "";
    } catch (error) {
      this.notice = error.refused ? PRIVATE : AWAY;
    }
  }

  async #withKey() {
    if (!apiKey()) return;
    await Promise.all([
      this.#optional("assets", "api/v1/assets", readAssets, true),
      this.#optional("mounts", "api/v1/mounts", readMounts, true),
    ]);
  }

  /** A part that this gateway may not have: asked once in vain, it is not asked again. */
  async #optional(name, path, read, withKey = false) {
    if (this.#absent.has(name)) return;
    try {
      this[name] = read(await getJson(path, { withKey }));
    } catch (error) {
      if (error.absent) this.#absent.add(name);
    }
  }
}

export const library = new Library();

async function readList() {
  const read = async () => (await request(channelsPath())).text();
  try {
    return await read();
  } catch (error) {
    if (error.refused && (await renew())) return read();
    throw error;
  }
}

/** What is live, and files, of which nobody can say so. */
export function readStreams({ streams = [] }) {
  return streams
    .filter(({ is_live, kind }) => is_live || kind === "file")
    .map(({ id, url, title, site_key, site_name, quality, kind }) => {
      const isFile = kind === "file";
      const note = [site_name ?? site_key, quality, isFile ? "file" : ""].filter(Boolean).join(" · ");
      return { ref: `stream:${site_key}:${id}`, kind: "stream", isFile, id, url, site_key, title: title || id, group: site_name ?? site_key, note, logo: "" };
    });
}

export function readAssets({ assets = [] }) {
  return assets
    .filter(({ kind, ready }) => kind !== "image" && ready !== false)
    .map(({ id, name, kind, bytes: size, duration_ms }) => {
      const note = [kind, duration_ms ? length(duration_ms / 1000) : "", size ? bytes(size) : ""].filter(Boolean).join(" · ");
      return { ref: `asset:${id}`, kind: "asset", id, title: name || id, group: "Library", note, logo: "" };
    });
}

/** Files of a mount that have an address of their own. */
export function readMounts({ mounts = [] }) {
  return mounts.flatMap(({ id, name, files = [] }) => files
    .filter(({ url, role = "media" }) => url && role === "media")
    .map(({ url, name: file, path, size }, index) => {
      const title = file ?? path?.split("/").at(-1) ?? name ?? `${id}`;
      return { ref: `mount:${id}:${index}`, kind: "mount", id: `${id}`, url: new URL(url, address("")).href, title, group: name ?? "", note: size ? bytes(size) : "", logo: "" };
    }));
}

async function openAsset(id) {
  const { url } = await getJson(`assets/${encodeURIComponent(id)}/stream`, { withKey: true });
  return { url: address(url.replace(/^\//, "")), kind: /\.m3u8(\?|$)/.test(url) ? "hls" : "file" };
}

async function openStream({ url, site_key, isFile }) {
  const answer = await getJson("streams/activate", { json: { url, site_key } });
  if (answer.status === "error") throw new Error(answer.detail ?? "the stream cannot be activated");
  const query = `?url=${base64url(url)}`;
  return isFile ? { url: address(`relay${query}`), kind: "file" } : { url: address(`proxy${query}`), kind: "hls" };
}

function base64url(text) {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
