// Markdown to DOM: what stands within a line. Links lead to the web or to mail, nowhere else.
import { el } from "./dom.js";

const DEEPEST = 6;
// Bounded, so that a long text full of openers can't make the search slow.
const SPAN = "[^\\n]{1,1000}?";
const FORMS = new RegExp(
  [
    /\\(?<escaped>[!-/:-@[-`{-~])/.source,
    /(?<ticks>`+)(?<code>[^`](?:[^\n]{0,2000}?[^`])?)\k<ticks>(?!`)/.source,
    /!?\[(?<label>(?:[^\[\]\n]|\[[^\[\]\n]{0,200}\]){0,500})\]\((?<target>[^\s()]{1,2000}(?:\([^\s()]{0,200}\)[^\s()]{0,200})?)(?:\s+"[^"\n]{0,200}")?\)/.source,
    /<(?<auto>(?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/.source,
    /(?<bare>\bhttps?:\/\/[^\s<>"'`]{1,2000})/.source,
    `\\*\\*(?=\\S)(?<strong>${SPAN}\\S|\\S)\\*\\*(?!\\*)`,
    `(?<![\\p{L}\\p{N}_])__(?=\\S)(?<strong2>${SPAN}\\S|\\S)__(?![\\p{L}\\p{N}_])`,
    `~~(?=\\S)(?<gone>${SPAN}\\S|\\S)~~`,
    `\\*(?=[^\\s*])(?<em>${SPAN}[^\\s*]|[^\\s*])\\*(?!\\*)`,
    `(?<![\\p{L}\\p{N}_])_(?=[^\\s_])(?<em2>${SPAN}[^\\s_]|[^\\s_])_(?![\\p{L}\\p{N}_])`,
    "(?<newline> *\\\\?\\n)",
  ].join("|"),
  "gu",
);

/** Return the address if a link may lead there, else null. */
function safe(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(address, whole, ...children) {
  const href = safe(address);
  if (!href) return document.createTextNode(whole);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", title: href }, ...children);
}

/** A bare address ends before the punctuation of the sentence, and before a bracket that it didn't open. */
function trimmed(address) {
  let end = address.replace(/[.,;:!?*_~，。；：！？、）】》”’]+$/u, "");
  while (end.endsWith(")") && !end.includes("(")) end = end.slice(0, -1);
  return end;
}

/** Return a fragment for a text. */
export function inline(text, depth = 0) {
  const fragment = document.createDocumentFragment();
  if (depth > DEEPEST) {
    fragment.append(text);
    return fragment;
  }
  const deeper = (part) => inline(part, depth + 1);
  const forms = new RegExp(FORMS);
  let last = 0;
  for (let match = forms.exec(text); match; match = forms.exec(text)) {
    const [whole] = match;
    const found = match.groups;
    let end = match.index + whole.length;
    let node;
    if (found.escaped) node = found.escaped;
    else if (found.ticks) node = el("code", { text: found.code.replace(/^ (.*\S.*) $/, "$1") });
    else if (found.target) node = link(found.target, whole, deeper(found.label || found.target));
    else if (found.auto) node = link(found.auto, whole, found.auto);
    else if (found.bare) {
      const address = trimmed(found.bare);
      end = match.index + address.length;
      node = link(address, address, address);
    } else if (found.newline) node = el("br");
    else if (found.gone) node = el("s", {}, deeper(found.gone));
    else if (found.strong ?? found.strong2) node = el("strong", {}, deeper(found.strong ?? found.strong2));
    else node = el("em", {}, deeper(found.em ?? found.em2));
    fragment.append(text.slice(last, match.index), node);
    last = forms.lastIndex = Math.max(end, match.index + 1);
  }
  fragment.append(text.slice(last));
  return fragment;
}
