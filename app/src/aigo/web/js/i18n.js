// The page's own words, in the reader's language: the one that was chosen, else the first that the browser asks for.
import en from "./lang/en.js";
import zh from "./lang/zh.js";

const WORDS = { en, zh };
const KEPT = "aigo.language";
export const LANGUAGES = { en: "English", zh: "中文" };

function preferred() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages].filter(Boolean);
  return wanted.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in WORDS) ?? "en";
}

let current = preferred();
export const language = () => current;
const locale = () => (current === "zh" ? "zh-CN" : navigator.languages.find((tag) => tag.startsWith("en")) ?? "en");

/** Return the words for a key; `{name}` stands for a value. */
export function t(key, values = {}) {
  const words = WORDS[current][key] ?? en[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Return the words for a refusal or a failure: translated by its code, else as the server says it. */
export function explain({ code, message }) {
  const key = `problem.${code}`;
  return key in en ? t(key) : message;
}

export function when(text, style = { dateStyle: "medium", timeStyle: "short" }) {
  return text ? new Intl.DateTimeFormat(locale(), style).format(new Date(text)) : "–";
}

/** Put words wherever the document names them: as text, or as a label, placeholder or tooltip. */
export function translate(root = document) {
  document.documentElement.lang = current === "zh" ? "zh-Hans" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const [data, attribute] of [["tLabel", "aria-label"], ["tPlaceholder", "placeholder"], ["tTitle", "title"]]) {
    const name = data.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
    for (const node of root.querySelectorAll(`[data-${name}]`)) node.setAttribute(attribute, t(node.dataset[data]));
  }
}

export function choose(tag) {
  current = tag;
  localStorage.setItem(KEPT, tag);
  translate();
}
