// A viewer's grant for all channels. It comes in the fragment of the link that was handed out, which no server's
// log ever sees (#/g/GRANT), or is made with the API key; this tab keeps it until it is closed.

import { apiKey, getJson } from "./api.js";

const STORED = "perennial.grant";
const IN_LINK = /^#\/g\/([\w.~-]+)/;
const IN_LIST = /\/live\/g\/([^/]+)\//;

/** Takes a grant out of the address, so that nobody reads it off the screen. */
export function takeFromAddress() {
  const [whole, grant] = location.hash.match(IN_LINK) ?? [];
  if (!grant) return;
  sessionStorage.setItem(STORED, grant);
  history.replaceState(null, "", location.hash.slice(whole.length).startsWith("/") ? `#${location.hash.slice(whole.length)}` : "#/");
}

/** The list of channels that this viewer may see. */
export function channelsPath() {
  const grant = sessionStorage.getItem(STORED);
  return grant ? `live/g/${grant}/channels.m3u` : "channels.m3u";
}

export function forgetGrant() {
  sessionStorage.removeItem(STORED);
}

/** Another grant in place of one that was refused; false for who has no key. */
export async function renew() {
  forgetGrant();
  if (!apiKey()) return false;
  const { url } = await getJson("api/v1/grants", { withKey: true, json: { channel: "*" } });
  const [, grant] = url.match(IN_LIST) ?? [];
  if (grant) sessionStorage.setItem(STORED, grant);
  return Boolean(grant);
}
