// The page, put together: who is signed in, which part is shown, what the keys do.
import { explain, language, t, translate } from "./i18n.js";
import { announce, el, find, icon } from "./dom.js";
import { applyTheme } from "./theme.js";
import { ask } from "./dialog.js";
import * as chat from "./chat.js";
import * as login from "./login.js";
import * as shortcuts from "./shortcuts.js";
import * as sidebar from "./sidebar.js";
import { conversations } from "./conversations.js";
import { places, placeOf } from "./places.js";
import { Problem, request } from "./api.js";
import { session } from "./session.js";

const ID = /^#\/c\/([0-9a-f-]{36})$/;

/** Show what the address says. */
async function route() {
  if (!session.user) return;
  sidebar.closeDrawer();
  const place = placeOf(location.hash);
  find("#chat").hidden = Boolean(place);
  find("#panel").hidden = !place;
  drawPlaces(place);
  try {
    if (place) {
      chat.close();
      conversations.current = null;
      conversations.draw();
      find("#actions").hidden = true;
      find("#title").textContent = place.title();
      document.title = `${place.title()} · aigo`;
      await place.render(find("#panel"));
    } else {
      await chat.open(ID.exec(location.hash)?.[1] ?? null);
    }
  } catch (error) {
    if (error.name === "AbortError" || error.status === 401) return;
    if (error.status === 404) location.hash = "#/";
    chat.banner(explain(error));
  }
}

/** After a change of place by the user, the focus goes where the work goes on. */
async function moved() {
  await route();
  if (!session.user) return;
  const place = placeOf(location.hash);
  if (place) {
    find("#title").focus();
    announce(place.title());
  } else if (!matchMedia("(pointer: coarse)").matches) find("#prompt").focus();
}

function drawPlaces(current) {
  find("#places").replaceChildren(
    ...places().map((place) =>
      el("li", {}, el("a", { href: place.hash, "aria-current": place === current ? "page" : null }, icon(place.icon), el("span", { text: place.title() })))),
  );
}

async function enter() {
  find("#login").hidden = true;
  find("#app").hidden = false;
  const chats = session.can("chat");
  for (const id of ["#new", "#filter", "#list"]) find(id).hidden = !chats;
  find("#who").textContent = session.user.display_name;
  find("#role").textContent = t(`role.${session.user.role}`);
  const listed = chats && conversations.load().catch((error) => chat.banner(explain(error)));
  await Promise.all([listed, moved()]);
}

async function signOut() {
  await request("POST", "/auth/logout").catch(() => undefined);
  session.end("signed_out");
}

function notice(text) {
  const toast = el("p", { class: "toast", text });
  find("#toasts").replaceChildren(toast);
  announce(text);
  setTimeout(() => toast.remove(), 3_000);
}

async function rename() {
  const id = chat.currentId();
  const row = await ask({
    title: t("rename"), confirm: t("save"),
    fields: [{ name: "title", label: t("title"), value: chat.currentTitle(), required: true, maxlength: 200, autocomplete: "off" }],
    action: ({ title }) => conversations.rename(id, title),
  });
  if (row && chat.currentId() === id) chat.heading(row.title);
}

async function remove() {
  const id = chat.currentId();
  const done = await ask({
    title: t("delete"), text: t("delete.sure", { title: chat.currentTitle() }), confirm: t("delete.yes"), danger: true,
    action: () => conversations.delete(id),
  });
  if (!done) return;
  notice(t("deleted"));
  location.hash = "#/";
}

async function save() {
  const done = await ask({
    title: t("export"), text: t("export.more"), confirm: t("export.yes"),
    fields: [{ name: "format", label: t("export.format"), value: "markdown", options: [["markdown", "Markdown"], ["json", "JSON"]] }],
    action: ({ format }) => chat.exportAs(format),
  });
  if (done) notice(t("exported"));
}

function startAgain() {
  if (location.hash === "#/") void moved();
  else location.hash = "#/";
  return true;
}

function neighbour(step) {
  const row = conversations.neighbour(step);
  if (row) location.hash = `#/c/${row.id}`;
  return true;
}

function escape() {
  if (sidebar.isOpen()) return sidebar.closeDrawer({ refocus: true }) ?? true;
  if (chat.isRunning()) return void chat.stop() ?? true;
  return undefined;
}

function focusOn(selector) {
  find(selector).focus();
  return true;
}

for (const node of document.querySelectorAll("[data-icon]")) node.prepend(icon(node.dataset.icon));
applyTheme();
translate();
chat.start();
sidebar.start();
login.start(enter);
shortcuts.listen();
shortcuts.bind("KeyN", startAgain);
shortcuts.bind("KeyM", () => !find("#app").hidden && focusOn("#prompt"));
shortcuts.bind("KeyF", () => !find("#app").hidden && focusOn("#filter"));
shortcuts.bind("ArrowUp", () => neighbour(-1));
shortcuts.bind("ArrowDown", () => neighbour(1));
shortcuts.bind("Comma", () => (location.hash = "#/settings"));
shortcuts.bind("Escape", escape);
find("#new").addEventListener("click", startAgain);
find("#skip").addEventListener("click", (event) => {
  event.preventDefault();
  find(find("#app").hidden ? "#login [name=name]" : find("#chat").hidden ? "#title" : "#prompt").focus();
});
find("#sign-out").addEventListener("click", signOut);
find("#rename").addEventListener("click", rename);
find("#delete").addEventListener("click", remove);
find("#export").addEventListener("click", save);
find("#filter").addEventListener("input", () => conversations.draw());
find("#older").addEventListener("click", () => conversations.older().catch((error) => notice(explain(error))));
addEventListener("hashchange", moved);
addEventListener("aigo:notice", (event) => notice(event.detail));
// What the server refused and nobody caught is told, but for the end of the session, which leads to the form by itself.
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof Problem)) return;
  event.preventDefault();
  if (event.reason.status !== 401) notice(explain(event.reason));
});
addEventListener("aigo:language", () => {
  find("#role").textContent = t(`role.${session.user.role}`);
  conversations.draw();
  void route().then(() => announce(t("language.now", { language: language() })));
});
addEventListener("aigo:permissions", enter);
session.addEventListener("ended", (event) => {
  chat.close();
  login.showLogin(event.detail);
});

dispatchEvent(new Event("aigo:started"));
if (await login.returned()) await enter();
else if (session.user) await enter();
else if (find("#login").hidden) login.showLogin();
