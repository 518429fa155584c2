// Markdown to DOM: blocks. It builds elements from a fixed list and text nodes, so nothing in a text can become
// markup, a script or a request; pictures are shown as links. A text that grows is drawn again from the first block that changed.
import { inline } from "./inline.js";
import { button, el } from "./dom.js";
import { t } from "./i18n.js";

const DEEPEST = 8;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:\s+(.*)|\s*)$/;
const DELIMITERS = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

const blank = (line) => !line.trim();
const isTable = (lines, at) =>
  lines[at].includes("|") && at + 1 < lines.length && lines[at + 1].includes("-") && DELIMITERS.test(lines[at + 1]) &&
  cells(lines[at]).length === cells(lines[at + 1]).length;
const begins = (lines, at) =>
  [FENCE, HEADING, RULE, QUOTE].some((form) => form.test(lines[at])) || isTable(lines, at) ||
  ITEM.exec(lines[at])?.[3] !== undefined;

function cells(line) {
  return line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** Cut lines into blocks: `[kind, its lines]`. */
function blocks(lines) {
  const found = [];
  let at = 0;
  const take = (kind, more) => {
    const start = at++;
    while (at < lines.length && more(lines[at], at)) at++;
    found.push([kind, lines.slice(start, at)]);
  };
  while (at < lines.length) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (blank(line)) at++;
    else if (fence) {
      const end = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}\\s*$`);
      let open = true;
      take("code", (next) => open && ((open = !end.test(next)), true));
    } else if (HEADING.test(line)) take("heading", () => false);
    else if (RULE.test(line)) take("rule", () => false);
    else if (QUOTE.test(line)) take("quote", (next) => QUOTE.test(next));
    else if (isTable(lines, at)) take("table", (next) => !blank(next) && next.includes("|"));
    else if (ITEM.test(line)) take("list", listGoesOn(lines, line));
    else take("paragraph", (next, index) => !blank(next) && !begins(lines, index));
  }
  return found;
}

function listGoesOn(lines, first) {
  const [, indent, marker] = ITEM.exec(first);
  const ordered = /\d/.test(marker);
  const belongs = (line) => {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) return /\d/.test(item[2]) === ordered && !RULE.test(line);
    return /^\s{2,}\S/.test(line);
  };
  return (line, at) => {
    if (!blank(line)) return belongs(line) || (!blank(lines[at - 1]) && !begins(lines, at));
    return at + 1 < lines.length && !blank(lines[at + 1]) && belongs(lines[at + 1]);
  };
}

const DRAW = {
  paragraph: (lines) => el("p", {}, inline(lines.map((line) => line.trimStart()).join("\n"))),
  heading: ([line]) => {
    const [, marks, text] = HEADING.exec(line);
    // The page's own headings are the first two levels.
    return el(`h${Math.min(marks.length + 2, 6)}`, {}, inline(text));
  },
  rule: () => el("hr"),
  quote: (lines, depth) => el("blockquote", {}, ...draw(lines.map((line) => line.replace(QUOTE, "")), depth + 1)),
  code: (lines) => {
    const language = FENCE.exec(lines[0])[2];
    const closed = lines.length > 1 && /^ {0,3}(`{3,}|~{3,})\s*$/.test(lines.at(-1));
    const text = lines.slice(1, closed ? -1 : undefined).join("\n");
    return codeBlock(text, language);
  },
  list: (lines, depth) => {
    const [, indent, marker] = ITEM.exec(lines[0]);
    const items = [];
    for (const line of lines) {
      const item = ITEM.exec(line);
      if (item && item[1].length <= indent.length + 1) items.push({ width: item[1].length + item[2].length + 1, lines: [item[3] ?? ""] });
      else items.at(-1).lines.push(line.replace(new RegExp(`^ {0,${items.at(-1).width}}`), ""));
    }
    const start = parseInt(marker, 10);
    return el(
      Number.isNaN(start) ? "ul" : "ol",
      { start: Number.isNaN(start) || start === 1 ? null : start },
      ...items.map((item) => el("li", {}, ...tight(draw(item.lines, depth + 1)))),
    );
  },
  table: ([head, delimiters, ...rows]) => {
    const sides = cells(delimiters).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "to-middle" : "to-end") : null));
    const row = (name, line) =>
      el("tr", {}, ...sides.map((side, at) => el(name, { class: side }, inline(cells(line)[at] ?? ""))));
    const table = el(
      "table", {}, el("thead", {}, row("th", head)), el("tbody", {}, ...rows.map((line) => row("td", line))),
    );
    return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": t("table") }, table);
  },
};

/** An item with a single paragraph needs no paragraph. */
function tight(nodes) {
  return nodes[0]?.tagName === "P" ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes;
}

function draw(lines, depth = 0) {
  if (depth > DEEPEST) return [el("p", { text: lines.join("\n") })];
  return blocks(lines).map(([kind, own]) => DRAW[kind](own, depth));
}

/** Make a block of code with a button to copy it. */
export function codeBlock(text, language = "") {
  const copy = button("copy", t("copy"), () => copyText(text), { quiet: true });
  return el(
    "figure",
    { class: "code" },
    el("figcaption", {}, el("span", { text: language || t("code") }), navigator.clipboard ? copy : null),
    el("pre", { tabindex: "0", "aria-label": language || t("code") }, el("code", { text })),
  );
}

/** Put a text on the clipboard and say so. */
export async function copyText(text) {
  await navigator.clipboard.writeText(text);
  dispatchEvent(new CustomEvent("aigo:notice", { detail: t("copied") }));
}

/** A place that shows a Markdown text which may grow. */
export class Markdown {
  constructor() {
    this.node = el("div", { class: "prose" });
    this.text = "";
    this._drawn = [];
    this._due = 0;
  }

  /** Say more; it is drawn with the next frame. */
  append(text) {
    this.text += text;
    this._due ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this._due);
    this._due = 0;
    const found = blocks(this.text.replaceAll("\r\n", "\n").replaceAll("\t", "    ").split("\n"));
    const raw = found.map(([kind, lines]) => `${kind}\n${lines.join("\n")}`);
    let same = 0;
    while (same < raw.length && raw[same] === this._drawn[same]) same++;
    while (this.node.childNodes.length > same) this.node.lastChild.remove();
    this.node.append(...found.slice(same).map(([kind, lines]) => DRAW[kind](lines, 0)));
    this._drawn = raw;
    return this;
  }
}

export function markdown(text) {
  const place = new Markdown();
  place.text = text;
  return place.draw().node;
}
