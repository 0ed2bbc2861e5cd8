// A real OpenID provider (npm oidc-provider) for the lab, in a process of its own: client credentials, device flow, groups.
// Usage: node oidc_provider.mjs MODULES FOLDER ISSUER.  FOLDER holds tls.crt, tls.key, jwks.json (private keys), clients.json.
// SIGHUP: the keys are read again, as after a rotation.  Must never: be used for anything but tests.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, folder, issuer] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js')));
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));

const audiences = { 'urn:weir:lab': 'weir-lab', 'urn:other': 'somebody-else' };
const scope = 'openid groups db';
const algorithm = 'ES256';

function make() {
  const provider = new Provider(issuer, {
    jwks: read('jwks.json'),
    clients: read('clients.json'),
    clientDefaults: { id_token_signed_response_alg: algorithm },
    scopes: ['openid', 'groups', 'db'],
    claims: { openid: ['sub'], groups: ['groups'] },
    pkce: { required: () => true },
    cookies: { keys: ['a key of the lab'] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, groups: ['agents'] }) }),
    ttl: {
      AccessToken: 600, IdToken: 600, DeviceCode: 120, Session: 600, Grant: 600, Interaction: 600,
      ClientCredentials: (ctx, token, client) => (client.clientId === 'svc:short-agent' ? 1 : 600),
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true, mask: '****-****' },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:weir:lab',
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({ scope, audience: audiences[resource], accessTokenFormat: 'jwt', jwt: { sign: { alg: algorithm } } }),
      },
    },
    // What a realm of a larger provider would put in: nested roles, and how the token was granted.
    extraTokenClaims: (ctx, token) => ({
      realm_access: { roles: ['agents'] },
      gty: token.kind === 'ClientCredentials' ? 'client-credentials' : 'device',
      ...(token.kind === 'ClientCredentials' ? { act: { sub: 'svc:scheduler' } } : {}),
    }),
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider.callback();
}

let answer = make();
process.on('SIGHUP', () => { answer = make(); console.log('keys read again'); });
const { hostname, port } = new URL(issuer);
createServer({ cert: readFileSync(join(folder, 'tls.crt')), key: readFileSync(join(folder, 'tls.key')) }, (request, response) => answer(request, response))
  .listen(Number(port), hostname, () => console.log('ready'));
