// Becomes the engine's worker. It is a classic worker, as hls.js starts them, and so has to import the engine
// by hand; what is said to it meanwhile is said again. Where that fails, an error tells hls.js to do without.
const early = [];
const keep = ({ data }) => early.push(data);
addEventListener("message", keep);
import(new URLSearchParams(location.search).get("engine")).then(
  () => {
    removeEventListener("message", keep);
    for (const data of early) dispatchEvent(new MessageEvent("message", { data }));
  },
  (error) => setTimeout(() => {
    throw error; // a rejection alone would not reach the page
  }),
);
