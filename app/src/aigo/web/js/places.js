// The pages beside the chat, and for whom they are.
import * as keys from "./views/keys.js";
import * as settings from "./views/settings.js";

const ALL = [
  { hash: "#/settings", icon: "settings", ...settings },
  { hash: "#/keys", icon: "key", ...keys },
];

/** The pages that a user may see. The server decides about what is on them; this spares walking into a refusal. */
export const places = (user) => ALL.filter((place) => !place.roles || place.roles.includes(user.role));
export const placeOf = (hash, user) => places(user).find((place) => place.hash === hash) ?? null;
