// The entry of a share's page: /share/{token}.

import { mount } from "svelte";
import Share from "./share/Share.svelte";
import "./style.css";

mount(Share, { target: document.getElementById("app") });
