// Light, dark, or as the system has it.
const KEPT = "aigo.theme";
export const THEMES = ["system", "light", "dark"];
export const theme = () => localStorage.getItem(KEPT) ?? "system";

export function applyTheme(name = theme()) {
  localStorage.setItem(KEPT, name);
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}
