// Builds the page into dist/, which is committed and embedded in the binary: the same
// sources must give the same bytes, so nothing here may depend on time, path or machine.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const BUNDLE_BYTES_MAX = 250_000; // gzipped, everything in dist/
const at = (path) => new URL(path, import.meta.url).pathname;
const { version } = JSON.parse(readFileSync(at("node_modules/hls.js/package.json"), "utf8"));

/** Parts of hls.js. Sound renditions and subtitles are played; DRM, advertisements and telemetry are not for us. */
const HLS_PARTS = {
  ALT_AUDIO: true, SUBTITLES: true, M2TS_ADVANCED_CODECS: true, MEDIA_CAPABILITIES: true,
  CMCD: false, CONTENT_STEERING: false, EME_DRM: false, IFRAMES: false, INTERSTITIALS: false, VARIABLE_SUBSTITUTION: false,
};

export default defineConfig({
  base: "./", // the page may live below a path of a reverse proxy
  plugins: [
    svelte({ compilerOptions: { cssHash: ({ hash, css }) => `s${hash(css)}` } }),
    thirdPartyNotices(["hls.js", "svelte", "url-toolkit", "eventemitter3", "@svta/cml-id3", "@svta/cml-utils", "@fontsource-variable/figtree"]),
    bundleSize(),
  ],
  resolve: {
    alias: [
      { find: /^hls\.js$/, replacement: at("node_modules/hls.js/src/exports-default.ts") },
      { find: /^hls\.js\/worker$/, replacement: at("node_modules/hls.js/src/demux/transmuxer-worker.ts") },
    ],
  },
  define: {
    __VERSION__: JSON.stringify(version),
    __IN_WORKER__: "self.WorkerGlobalScope",
    __HLS_WORKER_BUNDLE__: "undefined", // no worker out of a blob, which the Content-Security-Policy forbids
    ...Object.fromEntries(Object.entries(HLS_PARTS).map(([part, used]) => [`__USE_${part}__`, String(used)])),
  },
  // As hls.js builds itself: a field that only has a type is no assignment.
  esbuild: { tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the Content-Security-Policy allows no inline code
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 500,
    rollupOptions: {
      input: [at("index.html"), at("share/index.html")],
      output: { manualChunks: (id) => (id.includes("/node_modules/svelte/") ? "svelte" : undefined) },
    },
  },
});

/** What others wrote travels with its licence. */
function thirdPartyNotices(packages) {
  const licence = (name) => {
    for (const file of ["LICENSE", "LICENSE.md"]) {
      try {
        return readFileSync(at(`node_modules/${name}/${file}`), "utf8").trim();
      } catch {
        // The other name, then.
      }
    }
    throw new Error(`${name} has no licence file`);
  };
  return {
    name: "third-party-notices",
    apply: "build",
    generateBundle() {
      const source = packages.map((name) => `${name}\n${"=".repeat(name.length)}\n\n${licence(name)}\n`).join("\n\n");
      this.emitFile({ type: "asset", fileName: "third-party.txt", source });
    },
  };
}

/** What a browser may fetch in all; licences are not fetched. */
function bundleSize() {
  return {
    name: "bundle-size",
    apply: "build",
    generateBundle(_, bundle) {
      const packed = Object.values(bundle)
        .filter(({ fileName }) => fileName !== "third-party.txt")
        .map(({ fileName, code, source }) => (fileName.endsWith(".woff2") ? source.length : gzipSync(code ?? source, { level: 9 }).length));
      const total = packed.reduce((sum, bytes) => sum + bytes, 0);
      console.log(`\nin all ${(total / 1000).toFixed(1)} kB gzipped, of at most ${BUNDLE_BYTES_MAX / 1000}`);
      if (total > BUNDLE_BYTES_MAX) this.error("the page has become too heavy");
    },
  };
}
