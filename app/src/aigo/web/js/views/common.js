// What the pages beside the chat have in common.
import { el } from "../dom.js";
import { explain, t } from "../i18n.js";

/** Say something for a moment, to eyes and to screen readers. */
export const notice = (text) => dispatchEvent(new CustomEvent("aigo:notice", { detail: text }));

/** Make a table that scrolls by itself on a small screen; a row is a list of nodes and texts. */
export function table(caption, heads, rows) {
  return el(
    "div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table", {},
      el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, el("span", { class: head ? null : "unseen", text: head || t("actions") }))))),
      el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell) => el("td", {}, cell))))),
    ),
  );
}

export const badge = (text, kind = "") => el("span", { class: `badge ${kind}`.trim(), text });

/** Fill a place with what `load` returns, and say meanwhile and afterwards how that goes. */
export async function fill(place, load) {
  place.replaceChildren(el("p", { class: "note", text: t("loading") }));
  try {
    place.replaceChildren(...[await load()].flat());
  } catch (error) {
    place.replaceChildren(el("p", { class: "notice", role: "alert", text: explain(error) }));
  }
}
