// What a fresh gateway shows: how to add the first channel.

import { address } from "./api.js";
import { copyButton, el } from "./dom.js";

const CONFIG = `version = 1

[[channel]]
id = "news"
title = "News"

[[channel.source]]
url = "https://example.org/news/index.m3u8"

[[channel.source]]                # plays when the first one fails
url = "https://backup.example.org/news/index.m3u8"
`;

const curl = () => `curl ${address("api/v1/channels")} \\
  -H 'X-Api-Key: YOUR_KEY' \\
  -H 'Content-Type: application/json' \\
  -d '{"id":"news","title":"News","sources":[{"url":"https://example.org/news/index.m3u8"}]}'
`;

export function drawWelcome(root) {
  root.replaceChildren(
    el("h1", {}, "Ready. Now give it something to carry."),
    el("p", { class: "lead" }, "A channel is one address that never changes, with one or more sources behind it. When a source fails, the next takes over and the picture goes on."),
    recipe("In the configuration", ["Put this into ", el("code", {}, "perennial.toml"), ", then start ", el("code", {}, "perennial serve -c perennial.toml"), "."], CONFIG),
    recipe("Or while it runs", ["With the API key that was printed at the first start."], curl()),
    el("p", { class: "hint" }, "No source at hand? ", el("code", {}, "perennial demo"), " brings two of its own, and buttons to break them. This page notices a new channel by itself."),
  );
}

function recipe(title, text, code) {
  return el("section", { class: "panel recipe", "aria-label": title },
    el("div", { class: "row spread" }, el("h2", {}, title), copyButton("Copy", () => code)),
    el("p", {}, ...text),
    el("pre", { tabindex: "0" }, el("code", {}, code)),
  );
}
