// Questions in a dialog of the browser's own: it keeps the focus inside, closes with Escape, gives the focus back.
import { explain, t } from "./i18n.js";
import { button, el, find } from "./dom.js";

let counter = 0;

/** Make a labelled field; `options` makes it a choice. */
export function field({ name, label, options, hint, ...attributes }) {
  const id = `field-${counter++}`;
  if (attributes.type === "checkbox") {
    return el("label", { class: "check" }, el("input", { name, value: "yes", ...attributes }), el("span", { text: label }));
  }
  const control = options
    ? el("select", { id, name }, ...options.map(([value, words]) =>
        el("option", { value, selected: value === attributes.value, text: words })))
    : el("input", { id, name, ...attributes });
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el(
    "div", { class: "field" },
    el("label", { for: id, text: label }), control,
    hint ? el("small", { id: `${id}-hint`, text: hint }) : null,
  );
}

/**
 * Ask for something. `action` gets the fields' values; while it fails, the dialog stays and says why.
 * Resolves to what the action returned, or undefined when the dialog was closed.
 */
export function ask({ title, text, link, fields = [], confirm, danger = false, action }) {
  return new Promise((resolve) => {
    let result;
    const error = el("p", { class: "error", role: "alert" });
    const sure = el("button", { class: danger ? "danger" : "primary", text: confirm });
    const dialog = el(
      "dialog", { "aria-labelledby": "dialog-title" },
      el(
        "form", { method: "dialog" },
        el("h2", { id: "dialog-title", text: title }),
        text ? el("p", { text }) : null,
        link ? el("p", {}, el("a", link)) : null,
        ...fields.map(field),
        error,
        el("div", { class: "row end" }, button(null, t("cancel"), () => dialog.close()), sure),
      ),
    );
    find("form", dialog).addEventListener("submit", async (event) => {
      event.preventDefault();
      sure.disabled = true;
      error.textContent = "";
      try {
        result = (await action(Object.fromEntries(new FormData(event.target)))) ?? true;
        dialog.close();
      } catch (problem) {
        error.textContent = explain(problem);
      } finally {
        sure.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    find("input:not([type=checkbox])", dialog)?.select();
  });
}

/** Show something until it is closed. */
export function show({ title, text }, ...children) {
  const dialog = el(
    "dialog", { "aria-labelledby": "dialog-title" },
    el("h2", { id: "dialog-title", text: title }),
    text ? el("p", { text }) : null,
    ...children,
    el("div", { class: "row end" }, button(null, t("close"), () => dialog.close(), { kind: "primary" })),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
