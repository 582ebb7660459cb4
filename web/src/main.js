// Wires the views together: which one the address asks for, and which channels there are.

import "./style.css";
import { address, request } from "./api.js";
import { Demo } from "./demo.js";
import { $, el, redraw, setText } from "./dom.js";
import { parseChannels } from "./m3u.js";
import { Status } from "./status.js";
import { Watch } from "./watch.js";
import { drawWelcome } from "./welcome.js";

const CHANNELS_MS = 30_000;
const FIRST_CHANNEL_MS = 4000;

const watch = new Watch();
const status = new Status();
const demo = new Demo(watch);
let channels = null; // null until the gateway has said
let demoChannel = null;

// For tests: what the player did, and nothing that is secret.
window.perennial = { stats: () => watch.player.stats() };

addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // its fragment would be taken for a view
  $("main").focus();
});
start();

async function start() {
  drawWelcome($("welcome"));
  route();
  const found = readChannels();
  if (await demo.start()) demoChannel = demo.state.channel;
  await found;
  route();
  schedule();
}

/** Forgives a gateway that is away: the list that was shown stays, and the player looks after itself. */
async function readChannels() {
  try {
    const text = await (await request("channels.m3u", { withKey: true })).text();
    channels = parseChannels(text, document.baseURI);
    notice("");
  } catch (error) {
    if (error.status === 401 || error.status === 403) notice("This gateway is private. Open the link that you were given, or enter the API key under Status.");
    else notice("The gateway does not answer. This page keeps trying.");
  }
}

function schedule() {
  setTimeout(async () => {
    if (!document.hidden) {
      await readChannels();
      route();
    }
    schedule();
  }, channels?.length ? CHANNELS_MS : FIRST_CHANNEL_MS);
}

/** #/ the first channel, #/watch/{id} that one, #/status the administrator's view. */
function route() {
  const [, view, wanted = demoChannel] = location.hash.split("/").map(decode);
  const onStatus = view === "status";
  for (const link of document.querySelectorAll("nav a")) {
    if ((link.dataset.view === "status") === onStatus) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const some = Boolean(channels?.length);
  $("welcome").hidden = onStatus || channels === null || some;
  $("watch").hidden = onStatus || !some;
  if ($("status").hidden === onStatus) {
    $("status").hidden = !onStatus;
    if (onStatus) status.show();
    else status.hide();
  }
  if (onStatus || !some) {
    watch.leave();
    return;
  }
  watch.select(channels.find((channel) => channel.id === wanted) ?? watch.channel ?? channels[0]);
  drawChannels();
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function drawChannels() {
  $("channels").hidden = channels.length < 2;
  redraw($("channel-list"), [channels, watch.channel?.id], () => channels.map((channel) => {
    const current = channel.id === watch.channel?.id;
    return el("li", {},
      el("a", { href: `#/watch/${encodeURIComponent(channel.id)}`, "aria-current": current ? "true" : false, "data-key": channel.id },
        logo(channel),
        el("span", {}, el("strong", {}, channel.title), channel.group ? el("small", {}, channel.group) : null)));
  }));
}

/** The channel's picture, or its first letter. */
function logo({ logo, title }) {
  const letter = el("span", { class: "logo", "aria-hidden": "true" }, [...title][0]?.toUpperCase() ?? "");
  if (!/^(https?:|data:image\/)/.test(logo) && !logo.startsWith("/")) return letter;
  const picture = el("img", { class: "logo", src: logo.startsWith("/") ? address(logo.slice(1)) : logo, alt: "", loading: "lazy" });
  picture.addEventListener("error", () => picture.replaceWith(letter));
  return picture;
}

function notice(text) {
  setText($("notice"), text);
  $("notice").hidden = !text;
}
