// The entry of the gateway's page.

import { mount } from "svelte";
import App from "./App.svelte";
import "./style.css";

const target = document.getElementById("app");
target.replaceChildren(); // what was shown while this was on its way
mount(App, { target });
