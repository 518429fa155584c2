// The bar beside the chat. On a small screen it lies over the page while it is open.
import { find } from "./dom.js";

const small = matchMedia("(max-width: 48rem)");
const bar = () => find("#sidebar");
const opener = () => find("#menu");

function set(open) {
  const over = small.matches && open;
  document.body.classList.toggle("drawer", over);
  opener().setAttribute("aria-expanded", String(over));
  bar().inert = small.matches && !open;
  find("#content").inert = over;
  find("#scrim").hidden = !over;
}

export const isOpen = () => document.body.classList.contains("drawer");

export function closeDrawer({ refocus = false } = {}) {
  if (!isOpen()) return;
  set(false);
  if (refocus) opener().focus();
}

export function start() {
  opener().addEventListener("click", () => {
    set(true);
    find("#new").focus();
  });
  for (const id of ["#scrim", "#close-menu"]) find(id).addEventListener("click", () => closeDrawer({ refocus: true }));
  small.addEventListener("change", () => set(false));
  set(false);
}
