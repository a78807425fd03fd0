//! Starts the console.
import { render } from "preact";
import { App } from "./app.tsx";
import { connect } from "./live.ts";
import { followTheme } from "./theme.ts";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/screens.css";
import "./style/rules.css";
import "./style/tables.css";

followTheme();
connect();
const root = document.getElementById("app");
if (root) render(<App />, root);
