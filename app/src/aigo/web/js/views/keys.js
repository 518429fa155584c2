// Keys for programs that act for this user.
import { get, post, request } from "../api.js";
import { ask, show } from "../dialog.js";
import { button, el } from "../dom.js";
import { t, when } from "../i18n.js";
import { copyText } from "../markdown.js";
import { badge, fill, notice, table } from "./common.js";

const DAY_MS = 86_400_000;
const LIVES = ["30", "90", "365", ""];

export const title = () => t("keys");

export function render(place) {
  const list = el("div");
  const load = () => fill(list, async () => draw(await get("/keys"), load));
  place.replaceChildren(
    el("p", { class: "note", text: t("keys.more") }),
    el("div", { class: "row" }, button("add", t("keys.new"), () => create(load), { kind: "primary" })),
    list,
  );
  return load();
}

function state(key) {
  if (key.revoked) return badge(t("keys.revoked"));
  if (key.expires_at && new Date(key.expires_at) < new Date()) return badge(t("keys.expired"));
  return badge(t("keys.good"), "good");
}

function draw(keys, reload) {
  if (!keys.length) return el("p", { class: "empty", text: t("keys.none") });
  return table(t("keys"), [t("name"), t("keys.id"), t("created"), t("expires"), t("state"), ""], keys.map((key) => [
    key.name, el("code", { text: key.id }), when(key.created_at),
    key.expires_at ? when(key.expires_at) : t("never"), state(key),
    key.revoked ? "" : button("trash", t("keys.revoke", { name: key.name }), () => revoke(key, reload), { quiet: true }),
  ]));
}

async function create(reload) {
  const made = await ask({
    title: t("keys.new"), confirm: t("create"),
    fields: [
      { name: "name", label: t("name"), required: true, maxlength: 200, autocomplete: "off", hint: t("keys.name.hint") },
      { name: "days", label: t("expires"), value: "90", options: LIVES.map((days) => [days, days ? t("days", { days }) : t("never")]) },
    ],
    action: ({ name, days }) => {
      const expires = days ? new Date(Date.now() + Number(days) * DAY_MS).toISOString() : null;
      return post("/keys", { name, expires_at: expires });
    },
  });
  if (!made) return;
  const text = el("input", { readonly: true, class: "secret", "aria-label": t("keys.secret"), value: made.key });
  text.addEventListener("focus", () => text.select());
  show(
    { title: t("keys.made"), text: t("keys.once") }, text,
    ...(navigator.clipboard ? [el("div", { class: "row" }, button("copy", t("copy"), () => copyText(made.key)))] : []),
  );
  await reload();
}

async function revoke(key, reload) {
  const done = await ask({
    title: t("keys.revoke", { name: key.name }), text: t("keys.revoke.sure"), confirm: t("revoke"), danger: true,
    action: () => request("DELETE", `/keys/${key.id}`),
  });
  if (!done) return;
  notice(t("done"));
  await reload();
}
