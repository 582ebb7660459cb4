import assert from "node:assert/strict";
import { test } from "node:test";
import { parseChannels } from "./m3u.js";

const BASE = "http://127.0.0.1:8080/";

function check(text, expected) {
  assert.deepEqual(parseChannels(text, BASE), expected);
}

test("a channel with every attribute", () => {
  check(
    `#EXTM3U
#EXTINF:-1 tvg-id="news.example" tvg-name="News" tvg-logo="https://x/l.png" group-title="Local, near",News, at ten
https://tv.example/live/news/index.m3u8
`,
    [{
      id: "news",
      title: "News, at ten",
      group: "Local, near",
      logo: "https://x/l.png",
      url: "http://127.0.0.1:8080/live/news/index.m3u8",
    }],
  );
});

test("a grant in the path is kept and is not the channel", () => {
  const [channel] = parseChannels('#EXTM3U\n#EXTINF:-1,\r\n/live/g/abc.def/news/index.m3u8\r\n', BASE);
  assert.equal(channel.id, "news");
  assert.equal(channel.title, "news");
  assert.equal(channel.url, "http://127.0.0.1:8080/live/g/abc.def/news/index.m3u8");
});

test("no channels, and lines that are none", () => {
  check("#EXTM3U\n", []);
  check("", []);
  check("#EXTM3U\n# a comment\nhttp://[\n", []);
});
