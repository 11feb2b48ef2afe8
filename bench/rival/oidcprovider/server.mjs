// oidc-provider set up for the benchmark's one job: client credentials for an
// RS256 JWT of 2048 bits, by resource indicator. Its adapter is the in-memory
// one, which keeps no JWT: nothing is written anywhere, and nothing can be revoked.
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from 'oidc-provider'

const { ADDR, CLIENT_ID, CLIENT_SECRET, COOKIE_KEY } = process.env
const [host, port] = ADDR.split(':')
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

const provider = new Provider(`http://${ADDR}`, {
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
    scope: 'notes:read',
  }],
  scopes: ['notes:read'],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
  cookies: { keys: [COOKIE_KEY] },
  ttl: { ClientCredentials: 3600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'notes:read',
        audience: resource,
        accessTokenTTL: 3600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
})

provider.listen(Number(port), host)
