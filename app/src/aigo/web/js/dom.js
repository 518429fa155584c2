// Building the page. Everything that is said by people, models or the server goes in as text nodes, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  add: "M12 5v14M5 12h14",
  alert: "M12 8v5m0 3.500v.5M10.3 4 2.5 18a2 2 0 0 0 1.7 3h15.600a2 2 0 0 0 1.7-3L13.7 4a2 2 0 0 0-3.4 0Z",
  audit: "M7 3h10l3 3v15H4V3h3Zm1 6h8M8 13h8M8 17h5",
  check: "m5 12.5 4.5 4.500L19 7.5",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  document: "M6 3h8l5 5v13H6V3Zm8 0v5h5M9 13h6M9 17h6",
  down: "M12 5v14m-6-6 6 6 6-6",
  download: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  edit: "M4 20h4L19 9l-4-4L4 16v4Z",
  key: "M14 10a4.5 4.5 0 1 0-3.5 4.400L13 17h2v2h2v2h4v-3.500L13.8 11",
  menu: "M4 7h16M4 12h16M4 17h16",
  leave: "M14 4H5v16h9M10 12h11m-4-4 4 4-4 4",
  plan: "M9 6h11M9 12h11M9 18h11M4 5.5l1 1 1.5-2M4 11.500l1 1 1.5-2M4 17.500l1 1 1.5-2",
  retry: "M4 12a8 8 0 1 1 2.5 5.800M4 20v-5h5",
  send: "M12 19V5m-6 6 6-6 6 6",
  security: "M12 3 5 6v5c0 5 3 8.5 7 10 4-1.5 7-5 7-10V6l-7-3Zm-3 9 2.2 2.200L15.5 10",
  settings: "M4 7h9m5 0h2M4 17h2m5 0h9M13 7a2.5 2.5 0 1 0 5 0 2.5 2.5 0 0 0-5 0ZM6 17a2.5 2.5 0 1 0 5 0 2.5 2.5 0 0 0-5 0Z",
  stop: "M7 7h10v10H7z",
  system: "M3 12h4l3-8 4 16 3-8h4",
  tool: "M14.5 6.500a4.5 4.5 0 0 0-6 5.600L3 17.5 6.5 21l5.4-5.500a4.5 4.5 0 0 0 5.6-6L14.5 12 12 9.500l2.5-3Z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  users: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9c0-3.5 2.7-6 6-6s6 2.5 6 6m1-15.500a3.5 3.5 0 0 1 0 6.500m2.5 3.500c1.6 1 2.5 3 2.5 5.5",
};

/**
 * Make an element. `on` holds listeners, `dataset` data attributes, `class` and `text` what they say; other
 * properties become attributes, and those that are false, null or undefined are left out.
 */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "on") for (const [type, listener] of Object.entries(value)) node.addEventListener(type, listener);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key === "text") node.textContent = value;
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Make a picture that says nothing by itself. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Make a button with a picture and words; `quiet` leaves the words to screen readers and the tooltip. */
export function button(name, words, click, { quiet = false, kind = "" } = {}) {
  return el(
    "button",
    { type: "button", class: `${quiet ? "quiet " : ""}${kind}`.trim() || null, title: quiet ? words : null, on: { click } },
    name ? icon(name) : null,
    el("span", { class: quiet ? "unseen" : null, text: words }),
  );
}

export const find = (selector, root = document) => root.querySelector(selector);

let saying;
/** Tell screen readers something, once. */
export function announce(text) {
  const live = find("#live");
  live.textContent = "";
  clearTimeout(saying);
  // Replaced in a later turn, so that the same words are read again.
  saying = setTimeout(() => (live.textContent = text), 60);
}
