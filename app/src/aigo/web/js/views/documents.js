// One's documents: what the agent may search and cite.
import { get, pause, request } from "../api.js";
import { ask } from "../dialog.js";
import { button, el } from "../dom.js";
import { explain, language, t, when } from "../i18n.js";
import { badge, fill, notice, table } from "./common.js";

const ACCEPTED = ".txt,.md,.csv,.json,.html,.htm,.pdf,.docx";
const PAGE = 200;
const KINDS = { ready: "good", failed: "bad" };

export const title = () => t("documents");

export function render(place) {
  const list = el("div");
  const report = el("div", { class: "stack", role: "status" });
  const load = () => fill(list, async () => draw(await get(`/documents?limit=${PAGE}`), load));
  const input = el("input", { type: "file", multiple: true, accept: ACCEPTED, class: "unseen", tabindex: "-1", "aria-hidden": "true" });
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = "";
    await upload(files, report, load);
  });
  const zone = el(
    "div", { class: "drop" }, input,
    button("add", t("documents.upload"), () => input.click(), { kind: "primary" }),
    el("p", { class: "note", text: t("documents.drop") }),
  );
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    void upload([...event.dataTransfer.files], report, load);
  });
  place.replaceChildren(el("p", { class: "note", text: t("documents.more") }), zone, report, list);
  return load().then(() => watch(place, list, load));
}

/** While a document is being read, look again. */
async function watch(place, list, load) {
  while (list.isConnected && !place.hidden) {
    await pause(2_000);
    if (list.isConnected && !place.hidden && list.querySelector("[data-waiting]") && !list.contains(document.activeElement)) await load();
  }
}

async function upload(files, report, reload) {
  report.replaceChildren();
  for (const file of files) {
    const line = el("p", { class: "note", text: t("documents.sending", { name: file.name }) });
    report.append(line);
    try {
      const headers = { "Content-Type": file.type || "application/octet-stream" };
      await request("POST", `/documents?name=${encodeURIComponent(file.name)}`, { body: file, headers });
      line.remove();
    } catch (error) {
      line.className = "notice";
      line.textContent = `${file.name}: ${explain(error)}`;
    }
  }
  await reload();
}

const size = (bytes) => {
  const unit = bytes < 1e6 ? "kilobyte" : "megabyte";
  return new Intl.NumberFormat(language(), { style: "unit", unit, maximumFractionDigits: 1 }).format(bytes / (bytes < 1e6 ? 1e3 : 1e6));
};

function draw(documents, reload) {
  if (!documents.length) return el("p", { class: "empty", text: t("documents.none") });
  return table(t("documents"), [t("name"), t("documents.size"), t("state"), t("created"), ""], documents.map((row) => [
    row.name, size(row.size), state(row), when(row.created_at),
    el(
      "span", { class: "row tools" },
      button("download", t("documents.save", { name: row.name }), () => save(row), { quiet: true }),
      button("trash", t("documents.delete", { name: row.name }), () => remove(row, reload), { quiet: true }),
    ),
  ]));
}

function state(row) {
  const shown = badge(t(`indexing.${row.status}`), KINDS[row.status] ?? "");
  if (row.status === "queued" || row.status === "indexing") shown.dataset.waiting = "";
  return row.error ? el("span", { class: "row" }, shown, el("small", { class: "note", text: row.error })) : shown;
}

async function save(row) {
  try {
    const url = URL.createObjectURL(await (await request("GET", `/documents/${row.id}/content`)).blob());
    el("a", { href: url, download: row.name }).click();
    URL.revokeObjectURL(url);
  } catch (error) {
    notice(explain(error));
  }
}

async function remove(row, reload) {
  const done = await ask({
    title: t("documents.delete", { name: row.name }), text: t("documents.sure"), confirm: t("delete.yes"), danger: true,
    action: () => request("DELETE", `/documents/${row.id}`),
  });
  if (!done) return;
  notice(t("done"));
  await reload();
}
