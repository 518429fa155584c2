// A real OpenID Connect provider with one client, whose login form takes any name.
// provider.mjs ISSUER CLIENT_ID CLIENT_SECRET REDIRECT_URI; new signing keys at every start.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [issuer, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const entry = pathToFileURL(`${process.env.OIDC_MODULES}/oidc-provider/lib/index.js`);
const { default: Provider } = await import(entry.href);

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const groups = { ina: ['Operators', 'staff'], ivo: ['staff'], iris: ['staff'] };
const provider = new Provider(issuer, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
  jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: randomBytes(6).toString('hex') }] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  pkce: { required: () => true },
  claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, name: `${id} by OIDC`, groups: groups[id] ?? [] }),
  }),
});
provider.listen(Number(new URL(issuer).port), '127.0.0.1', () => console.log('ready'));
