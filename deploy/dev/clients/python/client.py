"""Gets a token with Authlib, unmodified, and calls the API with it.

usage: client.py TOKEN_ENDPOINT RESOURCE URL   (credentials from the environment)
Prints the API's status and body.
"""

import os
import sys

from authlib.integrations.requests_client import OAuth2Session

token_endpoint, resource, url = sys.argv[1:]
session = OAuth2Session(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], token_endpoint=token_endpoint)
session.fetch_token(grant_type="client_credentials", resource=resource)
answer = session.get(url, timeout=10)
print(answer.status_code, answer.text)
