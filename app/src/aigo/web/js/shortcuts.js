// Keys that work everywhere on the page. All but Escape need Alt, so that none gets in the way of writing.
const BOUND = new Map();

export const SHORTCUTS = [
  { keys: ["Enter"], words: "shortcut.send" },
  { keys: ["Shift", "Enter"], words: "shortcut.line" },
  { keys: ["Esc"], words: "shortcut.stop" },
  { keys: ["Alt", "N"], words: "shortcut.new" },
  { keys: ["Alt", "M"], words: "shortcut.prompt" },
  { keys: ["Alt", "F"], words: "shortcut.filter" },
  { keys: ["Alt", "↑"], words: "shortcut.previous" },
  { keys: ["Alt", "↓"], words: "shortcut.next" },
  { keys: ["Alt", ","], words: "shortcut.settings" },
];

/** Do something for a key, named as `KeyboardEvent.code`: with Alt, letters differ between keyboards and systems. */
export function bind(code, action) {
  BOUND.set(code, action);
}

export function listen() {
  addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.altKey === (event.code === "Escape")) return;
    // A dialog has the keyboard to itself.
    if (document.querySelector("dialog[open]")) return;
    if (BOUND.get(event.code)?.() !== undefined) event.preventDefault();
  });
}
