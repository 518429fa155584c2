// The list of conversations beside the chat.
import { get, request } from "./api.js";
import { el, find } from "./dom.js";
import { t } from "./i18n.js";

const PAGE = 50;

class Conversations extends EventTarget {
  #rows = [];
  #more = false;
  current = null;

  /** Get the newest from the server. */
  async load() {
    this.#rows = [];
    await this.older();
  }

  async older() {
    const last = this.#rows.at(-1);
    const rows = await get(`/conversations?limit=${PAGE}${last ? `&before=${last.id}` : ""}`);
    this.#rows.push(...rows);
    this.#more = rows.length === PAGE;
    this.draw();
  }

  add(row) {
    this.#rows.unshift(row);
    this.draw();
  }

  async rename(id, title) {
    const row = await (await request("PATCH", `/conversations/${id}`, { body: { title } })).json();
    this.#rows = this.#rows.map((known) => (known.id === id ? row : known));
    this.draw();
    return row;
  }

  async delete(id) {
    await request("DELETE", `/conversations/${id}`);
    this.#rows = this.#rows.filter((row) => row.id !== id);
    this.draw();
  }

  /** The neighbour of the current one, so many further down. */
  neighbour(step) {
    const at = this.#rows.findIndex((row) => row.id === this.current);
    return this.#rows[Math.max(0, at + step)] ?? null;
  }

  draw() {
    const wanted = find("#filter").value.trim().toLowerCase();
    const rows = this.#rows.filter((row) => row.title.toLowerCase().includes(wanted));
    find("#conversations").replaceChildren(
      ...rows.map((row) =>
        el("li", {}, el("a", {
          href: `#/c/${row.id}`, title: row.title, text: row.title,
          "aria-current": row.id === this.current ? "page" : null,
        }))),
    );
    find("#none").hidden = rows.length > 0;
    find("#none").textContent = t(wanted ? "filter.none" : "conversations.none");
    find("#older").hidden = !this.#more;
  }
}

export const conversations = new Conversations();
