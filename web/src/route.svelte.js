// The address bar, both ways: it says which view is shown, and follows the tiles.

import { takeFromAddress } from "./grant.js";
import { parseRoute } from "./watch/layout.js";
import { wall } from "./watch/wall.svelte.js";

class Route {
  view = $state("watch");

  constructor() {
    this.#read();
    addEventListener("hashchange", () => this.#read());
  }

  #read() {
    takeFromAddress();
    const { view, refs, selected } = parseRoute(location.hash);
    this.view = view;
    if (refs.length) wall.set({ refs, selected });
  }

  /** A layout is no place to go back to, so that it replaces the address of the one before. */
  write(address) {
    if (location.hash !== address) history.replaceState(null, "", address);
  }
}

export const route = new Route();
