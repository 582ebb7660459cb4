// Serves the bare player and hls.js as it is published on a loopback port of its own.

import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const ENGINE = new URL("../web/node_modules/hls.js/dist/hls.mjs", import.meta.url);

/** @returns {Promise<{origin: string, close: () => void}>} */
export async function servePlayer() {
  if (!existsSync(ENGINE)) throw new Error("no hls.js in web/node_modules: run npm ci in web/");
  const files = {
    "/": ["text/html; charset=utf-8", readFileSync(new URL("player.html", import.meta.url))],
    "/hls.js": ["text/javascript", readFileSync(ENGINE)],
  };
  const server = createServer((request, response) => {
    const file = files[request.url.split("?")[0]];
    if (!file) return response.writeHead(request.url === "/favicon.ico" ? 204 : 404).end();
    return response.writeHead(200, { "content-type": file[0] }).end(file[1]);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
