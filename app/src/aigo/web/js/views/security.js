// One's own account: password, second factor, and where one is signed in.
import { get, post, renewed, request } from "../api.js";
import { ask, show } from "../dialog.js";
import { button, el } from "../dom.js";
import { t, when } from "../i18n.js";
import { session } from "../session.js";
import { badge, fill, notice, table } from "./common.js";

export const title = () => t("security");

export async function render(place) {
  const factor = el("section");
  const sessions = el("section");
  const password = el(
    "section", {}, el("h2", { text: t("password") }),
    el("div", { class: "row" }, button("key", t("password.change"), changePassword)),
  );
  place.replaceChildren(...(session.user.source === "local" ? [password] : []), factor, sessions);
  await Promise.all([drawFactor(factor), drawSessions(sessions)]);
}

async function changePassword() {
  const changed = await ask({
    title: t("password.change"), text: t("password.more"), confirm: t("save"),
    fields: [
      { name: "current_password", label: t("password.current"), type: "password", required: true, autocomplete: "current-password" },
      { name: "new_password", label: t("password.new"), type: "password", required: true, minlength: 10, autocomplete: "new-password", hint: t("password.hint") },
    ],
    action: (values) => post("/auth/password", values),
  });
  if (changed) session.end("password_changed");
}

async function drawFactor(place) {
  const user = await get("/auth/me");
  const locked = !user.permissions.includes("keys");
  place.replaceChildren(
    el("h2", {}, t("factor"), " ", user.enrolled ? badge(t("factor.on"), "good") : badge(t("factor.off"))),
    locked ? el("p", { class: "notice", text: t(user.enrolled ? "factor.show" : "factor.needed") }) : el("p", { class: "note", text: t("factor.more") }),
    el(
      "div", { class: "row" },
      ...(user.enrolled && locked ? [button("security", t("factor.verify"), () => withCode("verify", place))] : []),
      user.enrolled
        ? button("trash", t("factor.remove"), () => withCode("remove", place))
        : button("security", t("factor.begin"), () => enrol(place), { kind: "primary" }),
    ),
  );
}

const CODE = { name: "code", required: true, autocomplete: "one-time-code", maxlength: 24, spellcheck: "false" };

async function withCode(what, place) {
  const done = await ask({
    title: t(`factor.${what}`), confirm: t("continue"), danger: what === "remove",
    fields: [{ ...CODE, label: t("code.second"), hint: t("code.hint") }],
    action: ({ code }) => post(`/auth/mfa/${what}`, { code }),
  });
  if (done) await changed(place);
}

async function enrol(place) {
  const { secret, uri } = await post("/auth/mfa");
  const confirmed = await ask({
    title: t("factor.begin"), text: t("factor.secret", { secret: secret.match(/.{1,4}/g).join(" ") }), confirm: t("continue"),
    link: { href: uri, text: t("factor.open") },
    fields: [{ ...CODE, label: t("factor.first") }],
    action: ({ code }) => post("/auth/mfa/confirm", { code }),
  });
  if (!confirmed) return;
  const codes = el("ul", { class: "codes" }, ...confirmed.recovery_codes.map((code) => el("li", {}, el("code", { text: code }))));
  show({ title: t("factor.codes"), text: t("factor.codes.more") }, codes);
  await changed(place);
}

/** What the user may do may have changed with the second factor: the next token says so, and the page follows. */
async function changed(place) {
  const before = String(session.user.permissions);
  await renewed();
  if (String(session.user.permissions) !== before) dispatchEvent(new CustomEvent("aigo:permissions"));
  await drawFactor(place);
}

async function drawSessions(place) {
  const list = el("div");
  const load = () => fill(list, async () => table(
    t("sessions"), [t("sessions.client"), t("address"), t("created"), t("sessions.used"), ""],
    (await get("/auth/sessions")).map((row) => [
      row.client ?? "–", row.address ?? "–", when(row.created_at), when(row.refreshed_at),
      row.current ? badge(t("sessions.this"), "good") : button("close", t("sessions.end"), () => end(row.id, load), { quiet: true }),
    ]),
  ));
  place.replaceChildren(
    el("h2", { text: t("sessions") }), list,
    el("div", { class: "row" }, button("leave", t("sessions.others"), () => end("", load))),
  );
  await load();
}

async function end(id, reload) {
  await request("DELETE", `/auth/sessions${id && `/${id}`}`);
  notice(t("done"));
  await reload();
}
