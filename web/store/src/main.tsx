//! Starts the shop.
import { render } from "preact";
import { App } from "./app.tsx";
import { followChoices } from "./tracking/index.ts";
import "./style/base.css";
import "./style/parts.css";
import "./style/pages.css";

followChoices();
const root = document.getElementById("app");
if (root) render(<App />, root);
