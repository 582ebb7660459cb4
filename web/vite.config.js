// Builds the page into dist/, which is committed and embedded in the binary: the same
// sources must give the same bytes, so nothing here may depend on time, path or machine.
import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

export default defineConfig({
  base: "./", // the page may live below a path of a reverse proxy
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the Content-Security-Policy allows no inline code
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 700,
  },
  plugins: [thirdPartyNotices()],
});

/** hls.js is Apache-2.0: its notice travels with the bundle. */
function thirdPartyNotices() {
  const licence = new URL("node_modules/hls.js/LICENSE", import.meta.url);
  return {
    name: "third-party-notices",
    apply: "build",
    generateBundle() {
      const source = `hls.js\n======\n\n${readFileSync(licence, "utf8")}`;
      this.emitFile({ type: "asset", fileName: "third-party.txt", source });
    },
  };
}
