// How the page looks and speaks, and what the keyboard does.
import { el } from "../dom.js";
import { field } from "../dialog.js";
import { choose, language, LANGUAGES, t } from "../i18n.js";
import { SHORTCUTS } from "../shortcuts.js";
import { applyTheme, theme, THEMES } from "../theme.js";

export const title = () => t("settings");

export function render(place) {
  const languages = field({ name: "language", label: t("language"), options: Object.entries(LANGUAGES), value: language() });
  const themes = field({
    name: "theme", label: t("theme"), options: THEMES.map((name) => [name, t(`theme.${name}`)]), value: theme(),
  });
  languages.addEventListener("change", (event) => {
    choose(event.target.value);
    dispatchEvent(new CustomEvent("aigo:language"));
  });
  themes.addEventListener("change", (event) => applyTheme(event.target.value));
  place.replaceChildren(
    el("section", {}, el("h2", { text: t("appearance") }), el("div", { class: "fields" }, languages, themes)),
    el(
      "section", {}, el("h2", { text: t("shortcuts") }),
      el("dl", { class: "keys" }, ...SHORTCUTS.flatMap(({ keys, words }) => [
        el("dt", {}, ...keys.map((key) => el("kbd", { text: key }))), el("dd", { text: t(words) }),
      ])),
    ),
  );
}
