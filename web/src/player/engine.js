// hls.js and its worker in one file, since they are nearly the same code: in a worker it demultiplexes, in a
// page it plays.

import "hls.js/worker";
import worker from "./worker.js?url";

export { default } from "hls.js";

const SELF = import.meta.url;
export const workerPath = `${worker}?engine=${encodeURIComponent(SELF)}`;
