// The list of channels as the gateway publishes it: `#EXTINF:-1 tvg-id="…" group-title="…",Name` and a URL. Pure.

/** @returns {{id: string, title: string, group: string, logo: string, url: string}[]} */
export function parseChannels(text, base) {
  const channels = [];
  let info = null;
  for (const line of text.split(/\r?\n/).map((line) => line.trim())) {
    if (line.startsWith("#EXTINF:")) info = parseInfo(line);
    else if (line && !line.startsWith("#")) {
      const channel = toChannel(line, info ?? { attributes: {}, name: "" }, base);
      if (channel) channels.push(channel);
      info = null;
    }
  }
  return channels;
}

function parseInfo(line) {
  const attributes = {};
  // The name begins at the first comma that no quoted value holds.
  const rest = line.replace(/([\w-]+)="([^"]*)"/g, (_, name, value) => {
    attributes[name] = value;
    return "";
  });
  return { attributes, name: rest.slice(rest.indexOf(",") + 1).trim() };
}

function toChannel(line, { attributes, name }, base) {
  const url = parseUrl(line, base);
  if (!url) return null;
  const path = url.pathname.match(/\/(?:live\/(?:g\/[^/]+\/)?|stream\/)([^/]+?)(?:\/index\.m3u8|\.ts)?$/);
  const id = path ? path[1] : attributes["tvg-id"] || line;
  return {
    id,
    title: name || attributes["tvg-name"] || id,
    group: attributes["group-title"] ?? "",
    logo: attributes["tvg-logo"] ?? "",
    // The list names the host that players were told of; the page stays on its own.
    url: new URL(url.pathname + url.search, base).href,
  };
}

function parseUrl(line, base) {
  try {
    return new URL(line, base);
  } catch {
    return null;
  }
}
