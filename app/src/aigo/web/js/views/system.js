// What the service stands on, and how that is.
import { get } from "../api.js";
import { button, el } from "../dom.js";
import { t } from "../i18n.js";
import { badge, fill, table } from "./common.js";

const KINDS = { up: "good", ready: "good", off: "", behind: "warn", degraded: "warn", away: "bad", unavailable: "bad" };
const spoken = (status) => badge(t(`status.${status}`), KINDS[status]);

export const title = () => t("system");

export function render(place) {
  const list = el("div", { class: "stack" });
  const load = () => fill(list, async () => draw(await get("/system")));
  place.replaceChildren(list, el("div", { class: "row" }, button("retry", t("system.again"), load)));
  return load();
}

function draw({ status, version, draining, checks }) {
  const rows = Object.entries(checks).map(([name, check]) => [
    t(`check.${name}`), spoken(check.status), check.latency_ms === null ? "–" : `${check.latency_ms} ms`, check.detail ?? "",
  ]);
  return [
    el("p", { class: "row" }, spoken(status), draining ? badge(t("system.draining"), "warn") : null, el("span", { class: "note", text: t("system.version", { version }) })),
    table(t("system"), [t("system.part"), t("state"), t("system.latency"), t("system.detail")], rows),
  ];
}
