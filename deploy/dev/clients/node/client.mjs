// Gets a token with openid-client, unmodified, by discovery from the issuer,
// and calls the API with it. Prints the API's status and body.
// usage: client.mjs ISSUER RESOURCE URL   (credentials from the environment)
import * as client from 'openid-client'

const [issuer, resource, url] = process.argv.slice(2)
const { CLIENT_ID, CLIENT_SECRET } = process.env
const config = await client.discovery(new URL(issuer), CLIENT_ID, CLIENT_SECRET, client.ClientSecretBasic(CLIENT_SECRET), {
  algorithm: 'oauth2',
  execute: [client.allowInsecureRequests], // loopback only
})
const token = await client.clientCredentialsGrant(config, { resource })
const answer = await client.fetchProtectedResource(config, token.access_token, new URL(url), 'GET')
console.log(answer.status, await answer.text())
