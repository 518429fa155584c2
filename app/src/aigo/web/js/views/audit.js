// The audit log, newest first.
import { get } from "../api.js";
import { button, el } from "../dom.js";
import { field } from "../dialog.js";
import { t, when } from "../i18n.js";
import { badge, fill, table } from "./common.js";

const PAGE = 100;

export const title = () => t("audit");

export function render(place) {
  const list = el("div", { class: "stack" });
  const filter = el(
    "form", { class: "fields" },
    field({ name: "action", label: t("audit.action"), maxlength: 200, autocomplete: "off", placeholder: "login" }),
    field({ name: "actor", label: t("audit.actor"), maxlength: 200, autocomplete: "off" }),
    el("button", { text: t("audit.filter") }),
  );
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    void load();
  });
  const load = () => fill(list, () => page(filter, list));
  place.replaceChildren(el("p", { class: "note", text: t("audit.more") }), filter, list);
  return load();
}

async function page(filter, list, before) {
  const query = new URLSearchParams({ limit: PAGE });
  for (const [name, value] of new FormData(filter)) if (value.trim()) query.set(name, value.trim());
  if (before) query.set("before", before);
  const entries = await get(`/audit?${query}`);
  if (!entries.length) return before ? [] : el("p", { class: "empty", text: t("audit.none") });
  const parts = [draw(entries)];
  if (entries.length === PAGE) {
    const older = button(null, t("audit.older"), async () => {
      older.replaceWith(...[await page(filter, list, entries.at(-1).sequence)].flat());
    });
    parts.push(older);
  }
  return parts;
}

function draw(entries) {
  const heads = ["#", t("audit.at"), t("audit.actor"), t("audit.action"), t("audit.outcome"), t("address"), t("audit.details")];
  return table(t("audit"), heads, entries.map((entry) => [
    String(entry.sequence), when(entry.at, { dateStyle: "short", timeStyle: "medium" }), entry.actor_name,
    el("code", { text: entry.action }), badge(t(`outcome.${entry.outcome}`), entry.outcome === "failure" ? "bad" : "good"),
    entry.address ?? "–", el("small", { class: "note details", text: details(entry) }),
  ]));
}

const details = (entry) =>
  Object.entries(entry.details).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
