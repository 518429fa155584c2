// Users: for administrators, and to read for auditors.
import { get, post, request } from "../api.js";
import { ask } from "../dialog.js";
import { button, el } from "../dom.js";
import { t, when } from "../i18n.js";
import { session } from "../session.js";
import { badge, fill, notice, table } from "./common.js";

const PAGE = 100;
const ROLES = ["user", "auditor", "admin"];
const roles = () => ROLES.map((role) => [role, t(`role.${role}`)]);
const PASSWORD = { type: "password", minlength: 10, maxlength: 1024, autocomplete: "new-password" };

export const title = () => t("users");

export function render(place) {
  const list = el("div");
  const load = () => fill(list, () => draw(load));
  const add = button("add", t("users.new"), () => create(load), { kind: "primary" });
  place.replaceChildren(...(session.can("users.write") ? [el("div", { class: "row" }, add)] : []), list);
  return load();
}

async function all() {
  const users = [];
  for (let page; !page || page.length === PAGE; users.push(...page)) {
    page = await get(`/users?limit=${PAGE}${users.length ? `&after=${users.at(-1).id}` : ""}`);
  }
  return users;
}

async function draw(reload) {
  const may = session.can("users.write");
  return table(t("users"), [t("name"), t("role"), t("users.source"), t("state"), t("created"), ...(may ? [""] : [])], (await all()).map((user) => [
    el("span", {}, user.display_name, user.display_name === user.name ? "" : el("small", { class: "note", text: ` ${user.name}` })),
    t(`role.${user.role}`), t(`source.${user.source}`), state(user), when(user.created_at),
    ...(may ? [button("edit", t("users.edit", { name: user.name }), () => change(user, reload), { quiet: true })] : []),
  ]));
}

function state(user) {
  return el(
    "span", { class: "row" },
    user.disabled ? badge(t("users.disabled"), "bad") : user.locked ? badge(t("users.locked"), "warn") : badge(t("users.active"), "good"),
    user.enrolled ? badge(t("factor")) : null,
  );
}

async function create(reload) {
  const made = await ask({
    title: t("users.new"), confirm: t("create"),
    fields: [
      { name: "name", label: t("name"), required: true, maxlength: 200, autocomplete: "off", autocapitalize: "none" },
      { name: "display_name", label: t("users.display"), maxlength: 200, autocomplete: "off" },
      { name: "role", label: t("role"), options: roles(), value: "user" },
      { name: "password", label: t("password"), required: true, hint: t("password.hint"), ...PASSWORD },
    ],
    action: (values) => post("/users", { ...values, display_name: values.display_name || null }),
  });
  if (!made) return;
  notice(t("users.made", { name: made.name }));
  await reload();
}

async function change(user, reload) {
  const local = user.source === "local" ? [
    { name: "display_name", label: t("users.display"), value: user.display_name, required: true, maxlength: 200, autocomplete: "off" },
    { name: "role", label: t("role"), options: roles(), value: user.role },
    { name: "password", label: t("password.new"), hint: t("users.password.hint"), ...PASSWORD },
  ] : [];
  const done = await ask({
    title: t("users.edit", { name: user.name }), confirm: t("save"),
    fields: [
      ...local,
      { type: "checkbox", name: "disabled", label: t("users.disable"), checked: user.disabled },
      ...(user.locked ? [{ type: "checkbox", name: "unlock", label: t("users.unlock") }] : []),
      ...(user.enrolled ? [{ type: "checkbox", name: "remove_second_factor", label: t("factor.remove") }] : []),
    ],
    action: async (values) => {
      const body = {};
      for (const name of ["display_name", "role"]) if (name in values && values[name] !== user[name]) body[name] = values[name];
      if (values.password) body.password = values.password;
      if (Boolean(values.disabled) !== user.disabled) body.disabled = Boolean(values.disabled);
      for (const name of ["unlock", "remove_second_factor"]) if (values[name]) body[name] = true;
      if (Object.keys(body).length) await request("PATCH", `/users/${user.id}`, { body });
    },
  });
  if (!done) return;
  notice(t("done"));
  await reload();
}
