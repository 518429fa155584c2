// The pages beside the chat, and what each of them takes.
import * as audit from "./views/audit.js";
import * as documents from "./views/documents.js";
import * as keys from "./views/keys.js";
import * as security from "./views/security.js";
import * as settings from "./views/settings.js";
import * as system from "./views/system.js";
import * as users from "./views/users.js";
import { session } from "./session.js";

const ALL = [
  { hash: "#/documents", icon: "document", needs: "chat", ...documents },
  { hash: "#/users", icon: "users", needs: "users.read", ...users },
  { hash: "#/audit", icon: "audit", needs: "audit.read", ...audit },
  { hash: "#/system", icon: "system", needs: "system.read", ...system },
  { hash: "#/keys", icon: "key", needs: "keys", ...keys },
  { hash: "#/security", icon: "security", needs: "account", ...security },
  { hash: "#/settings", icon: "settings", needs: "account", ...settings },
];

/** The pages that this user may see. The server decides about what is on them; this spares walking into a refusal. */
export const places = () => ALL.filter((place) => session.can(place.needs));

/** The page of an address; for somebody who may not chat there is always one. */
export function placeOf(hash) {
  const found = places().find((place) => place.hash === hash);
  if (found || session.can("chat")) return found ?? null;
  const home = session.can("keys") ? places()[0] : ALL.find((place) => place.hash === "#/security");
  return home ?? null;
}
