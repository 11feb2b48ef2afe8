// Made from docs/openapi.yaml by `npm run models`; do not edit.
export interface components {
    schemas: {
        /** @example 3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11 */
        UUID: string;
        /**
         * @description RFC 3339, UTC, three decimals
         * @example 2026-07-01T12:00:00.000Z
         */
        Time: string;
        /**
         * Format: date-time
         * @description RFC 3339 with any offset
         * @example 2026-07-01T12:00:00Z
         */
        TimeInput: string;
        Label: string;
        /**
         * @description capabilities separated by single spaces (RFC 6749 section 3.3)
         * @example notes:read notes:write
         */
        ScopeText: string;
        /** @description of client assertions */
        AssertionAlgorithms: ("RS256" | "PS256" | "ES256")[];
        /**
         * @description with client_assertion
         * @enum {string}
         */
        ClientAssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        /** @description JWT that the client signed (RFC 7523 section 3); see the token endpoint */
        ClientAssertion: string;
        /** @description Unknown parameters are ignored; a repeated one is refused, `resource` excepted; an empty one counts as absent. */
        TokenRequest: {
            /** @enum {string} */
            grant_type: "client_credentials";
            /** @description all capabilities of the agent when absent */
            scope?: components["schemas"]["ScopeText"];
            /** @description where the token will be used (RFC 8707); the management API when absent */
            resource?: string[];
            client_id?: components["schemas"]["ClientId"];
            client_secret?: string;
            client_assertion_type?: components["schemas"]["ClientAssertionType"];
            client_assertion?: components["schemas"]["ClientAssertion"];
        };
        TokenResponse: {
            /** @description RFC 9068 JWT, RS256 */
            access_token: string;
            /** @enum {string} */
            token_type: "Bearer";
            expires_in: number;
            /** @description what was granted, sorted */
            scope: string;
        };
        TokenReference: {
            token: string;
            /** @description never changes the answer */
            token_type_hint?: string;
            client_id?: components["schemas"]["ClientId"];
            client_secret?: string;
            client_assertion_type?: components["schemas"]["ClientAssertionType"];
            client_assertion?: components["schemas"]["ClientAssertion"];
        };
        TokenRevocation: {
            token: string;
            /** @description never changes the answer */
            token_type_hint?: string;
            reason?: components["schemas"]["Reason"];
            client_id?: components["schemas"]["ClientId"];
            client_secret?: string;
            client_assertion_type?: components["schemas"]["ClientAssertionType"];
            client_assertion?: components["schemas"]["ClientAssertion"];
        };
        /** @description A dead token has the member `active` alone. */
        Introspection: {
            active: boolean;
            scope?: string;
            client_id?: components["schemas"]["ClientId"];
            /** @enum {string} */
            token_type?: "Bearer";
            /** Format: int64 */
            exp?: number;
            /** Format: int64 */
            iat?: number;
            /** Format: int64 */
            nbf?: number;
            sub?: components["schemas"]["UUID"];
            aud?: components["schemas"]["Audience"];
            iss?: string;
            jti?: string;
            org?: components["schemas"]["OrganizationId"];
        };
        Audience: string | string[];
        OAuthError: {
            /** @enum {string} */
            error: "invalid_request" | "invalid_client" | "invalid_scope" | "invalid_target" | "invalid_token" | "insufficient_scope" | "unauthorized_client" | "unsupported_grant_type" | "unsupported_response_type" | "access_denied" | "quota_exceeded" | "rate_limited" | "server_error" | "temporarily_unavailable";
            /** @description for people */
            error_description?: string;
        };
        StatusLists: {
            status_lists: string[];
        };
        JWKS: {
            keys: components["schemas"]["JWK"][];
        };
        JWK: {
            /** @enum {string} */
            kty: "RSA";
            /** @enum {string} */
            use: "sig";
            /** @enum {string} */
            alg: "RS256";
            /** @description RFC 7638 thumbprint */
            kid: string;
            n: string;
            e: string;
        };
        Metadata: {
            issuer: string;
            authorization_endpoint: string;
            token_endpoint: string;
            jwks_uri: string;
            introspection_endpoint: string;
            revocation_endpoint: string;
            response_types_supported: string[];
            grant_types_supported: "client_credentials"[];
            token_endpoint_auth_methods_supported: ("client_secret_basic" | "client_secret_post" | "private_key_jwt")[];
            token_endpoint_auth_signing_alg_values_supported?: components["schemas"]["AssertionAlgorithms"];
            introspection_endpoint_auth_methods_supported?: ("client_secret_basic" | "client_secret_post" | "private_key_jwt" | "Bearer")[];
            introspection_endpoint_auth_signing_alg_values_supported?: components["schemas"]["AssertionAlgorithms"];
            revocation_endpoint_auth_methods_supported?: ("client_secret_basic" | "client_secret_post" | "private_key_jwt")[];
            revocation_endpoint_auth_signing_alg_values_supported?: components["schemas"]["AssertionAlgorithms"];
            /** Format: uri */
            status_list_aggregation_endpoint?: string;
            subject_types_supported?: "public"[];
            id_token_signing_alg_values_supported?: "RS256"[];
        };
        Error: {
            /** @enum {string} */
            code: "VALIDATION_FAILED" | "UNAUTHENTICATED" | "FORBIDDEN" | "CAPABILITY_CEILING" | "FREE_TIER_LIMIT_EXCEEDED" | "NOT_FOUND" | "METHOD_NOT_ALLOWED" | "AGENT_ALREADY_EXISTS" | "INVALID_STATE" | "LAST_ADMINISTRATOR" | "SEQUENCE_GAP" | "REQUEST_TIMEOUT" | "PRECONDITION_FAILED" | "PAYLOAD_TOO_LARGE" | "URI_TOO_LONG" | "UNSUPPORTED_MEDIA_TYPE" | "EXPECTATION_FAILED" | "IDEMPOTENCY_KEY_REUSED" | "RATE_LIMITED" | "HEADER_TOO_LARGE" | "INTERNAL" | "NOT_IMPLEMENTED" | "OVERLOADED" | "AUDIT_UNAVAILABLE" | "STORE_UNAVAILABLE" | "UNAVAILABLE";
            /** @description one sentence for people */
            message: string;
            /** @description members depend on the code */
            details: {
                fields?: {
                    /** @description path of the member */
                    field: string;
                    /** @description what it must be */
                    rule: string;
                }[];
                /** @description stable lower_snake reason */
                reason?: string;
                /**
                 * Format: int64
                 * @description of SEQUENCE_GAP
                 */
                nextSequence?: number;
                /** @description of a replayed POST that made a secret */
                credentialId?: string;
            };
        };
        /** @example default */
        OrganizationId: string;
        /** @example aidp_c_0123456789abcdefghijkl */
        ClientId: string;
        /**
         * @description ASCII dot-atoms around one @; lower-cased; unique in the organization, free again after decommission
         * @example screener-001@example.com
         */
        Email: string;
        /**
         * @description a label for people; authority comes from capabilities alone
         * @enum {string}
         */
        AgentType: "screener" | "classifier" | "orchestrator" | "extractor" | "summarizer" | "router" | "monitor" | "custom" | "administrator" | "sidecar";
        /**
         * @description semantic version
         * @example 1.0.0
         */
        Version: string;
        /**
         * @description resource:action; * only as a whole side
         * @example notes:read
         */
        Capability: string;
        /**
         * @description printable
         * @example talent-team
         */
        Owner: string;
        /** @enum {string} */
        DeploymentEnv: "development" | "staging" | "production";
        /** @enum {string} */
        AgentStatus: "active" | "suspended" | "decommissioned";
        /**
         * @description anything that helps the owner; at most 16 KiB of compact JSON, 32 levels deep
         * @example {
         *       "team": "talent"
         *     }
         */
        AgentMetadata: {
            [key: string]: unknown;
        } | null;
        /**
         * @description The public keys that the agent signs client assertions with, for its `private_key_jwt` credentials: a JWK Set
         *     (RFC 7517) of 1 to 20 keys in at most 16 KiB, RSA of 2048 to 4096 bits (RS256, PS256) or P-256 (ES256), each with a
         *     `kid` of its own; a key without one gets its RFC 7638 thumbprint. Private members are refused, unknown ones left
         *     out. To change them takes `credentials:write` as well. Never together with `jwksUri`. null clears. Other keys count from the answer on; tokens issued before live to
         *     their `exp`, unless a revocation ends them.
         */
        AgentKeys: {
            keys: components["schemas"]["AgentKey"][];
        } | null;
        AgentKey: {
            /** @enum {string} */
            kty: "RSA" | "EC";
            /** @enum {string} */
            use?: "sig";
            /**
             * @description when present, the only algorithm the key is for
             * @enum {string}
             */
            alg?: "RS256" | "PS256" | "ES256";
            kid?: string;
            /** @description of an RSA key */
            n?: string;
            /** @description of an RSA key */
            e?: string;
            /**
             * @description of an EC key
             * @enum {string}
             */
            crv?: "P-256";
            /** @description of an EC key */
            x?: string;
            /** @description of an EC key */
            y?: string;
        };
        /**
         * @description Where the agent publishes its keys instead, as a JWK Set in JSON of at most 64 KiB: an https URI without user and
         *     fragment, on port 443 or one from 1024, at a public address. It is fetched when it is needed, answers 200 within 3
         *     seconds without a redirect, and is kept for its `max-age` (1 minute to 1 hour; 5 minutes without). A kid that is not
         *     known is looked for at most once in 30 seconds: publish a key that long before it signs. An empty set, 404 and 410
         *     take back what was published before; with any other failure it counts on, for 24 hours at most. Never together with
         *     `jwks`. null clears.
         * @example https://agents.example.com/screener-001/jwks.json
         */
        AgentKeysUri: string | null;
        Capabilities: components["schemas"]["Capability"][];
        NewAgent: {
            organizationId?: components["schemas"]["OrganizationId"];
            email: components["schemas"]["Email"];
            agentType: components["schemas"]["AgentType"];
            version: components["schemas"]["Version"];
            capabilities: components["schemas"]["Capabilities"];
            owner: components["schemas"]["Owner"];
            deploymentEnv: components["schemas"]["DeploymentEnv"];
            metadata?: components["schemas"]["AgentMetadata"];
            jwks?: components["schemas"]["AgentKeys"];
            jwksUri?: components["schemas"]["AgentKeysUri"];
        };
        /** @description at least one member */
        AgentPatch: {
            email?: components["schemas"]["Email"];
            agentType?: components["schemas"]["AgentType"];
            version?: components["schemas"]["Version"];
            capabilities?: components["schemas"]["Capabilities"];
            owner?: components["schemas"]["Owner"];
            deploymentEnv?: components["schemas"]["DeploymentEnv"];
            /**
             * @description decommissioning is DELETE
             * @enum {string}
             */
            status?: "active" | "suspended";
            metadata?: components["schemas"]["AgentMetadata"];
            jwks?: components["schemas"]["AgentKeys"];
            jwksUri?: components["schemas"]["AgentKeysUri"];
            /** @description why the status changes, for the audit log; goes with `status` */
            reason?: components["schemas"]["Reason"];
        };
        /**
         * @example {
         *       "agentId": "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11",
         *       "organizationId": "default",
         *       "email": "screener-001@example.com",
         *       "agentType": "screener",
         *       "version": "1.0.0",
         *       "capabilities": [
         *         "notes:read"
         *       ],
         *       "owner": "talent-team",
         *       "deploymentEnv": "production",
         *       "status": "active",
         *       "createdAt": "2026-07-01T12:00:00.000Z",
         *       "updatedAt": "2026-07-01T12:00:00.000Z"
         *     }
         */
        Agent: {
            agentId: components["schemas"]["UUID"];
            organizationId: components["schemas"]["OrganizationId"];
            email: components["schemas"]["Email"];
            agentType: components["schemas"]["AgentType"];
            version: components["schemas"]["Version"];
            capabilities: components["schemas"]["Capabilities"];
            owner: components["schemas"]["Owner"];
            deploymentEnv: components["schemas"]["DeploymentEnv"];
            status: components["schemas"]["AgentStatus"];
            /** @description absent when there is none */
            metadata?: {
                [key: string]: unknown;
            };
            /** @description absent when there is none */
            jwks?: components["schemas"]["AgentKeys"];
            /** @description absent when there is none */
            jwksUri?: components["schemas"]["AgentKeysUri"];
            createdAt: components["schemas"]["Time"];
            updatedAt: components["schemas"]["Time"];
            /** @description absent before the first token; at most one write a minute */
            lastAuthAt?: components["schemas"]["Time"];
        };
        AgentList: {
            data: components["schemas"]["Agent"][];
            total: components["schemas"]["Total"];
            /** @description 1 with a cursor */
            page: components["schemas"]["PageNumber"];
            limit: components["schemas"]["PageLimit"];
            /** @description for the next page; absent on the last */
            nextCursor?: string;
            /** @description more agents match `q` than are looked at, and `total` leaves them out: a longer text finds them */
            incomplete?: boolean;
        };
        /**
         * @default -createdAt
         * @enum {string}
         */
        AgentSort: "-createdAt" | "createdAt" | "email" | "-email";
        /** @description entries on all pages */
        Total: number;
        PageNumber: number;
        PageLimit: number;
        Usage: {
            agentId: components["schemas"]["UUID"];
            /** @description UTC calendar month */
            month: string;
            /** Format: int64 */
            tokensUsed: number;
            /** @description 0 is no limit */
            tokensLimit: number;
            /** @description when the next month begins */
            resetsAt: components["schemas"]["Time"];
        };
        /**
         * @description how the client proves itself; with private_key_jwt there is no secret, and the keys are the agent's
         * @enum {string}
         */
        AuthMethod: "client_secret" | "private_key_jwt";
        NewCredential: {
            /** @default client_secret */
            authMethod?: components["schemas"]["AuthMethod"];
            /** @description in the future; never when absent */
            expiresAt?: components["schemas"]["TimeInput"];
        };
        Rotation: {
            /**
             * @description how long the old secret stays good
             * @default 0
             */
            overlapSeconds?: number;
        };
        /**
         * @description when it stops being good: its own expiry, or the age that the organization's `maxCredentialAge` allows its
         *     secret, whichever comes first; never when absent. 14 days before, the audit log has a `credential.expiring`
         */
        CredentialEnd: components["schemas"]["Time"];
        /** @description until when the secret before the last rotation works too (`overlapSeconds`); absent when it does not */
        PreviousSecretEnd: components["schemas"]["Time"];
        /**
         * @example {
         *       "credentialId": "7c1f6f5e-1b5d-4a0c-8f3c-2f4f0a9d7b10",
         *       "clientId": "aidp_c_0123456789abcdefghijkl",
         *       "agentId": "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11",
         *       "authMethod": "client_secret",
         *       "status": "active",
         *       "createdAt": "2026-07-01T12:00:00.000Z"
         *     }
         */
        Credential: {
            credentialId: components["schemas"]["UUID"];
            clientId: components["schemas"]["ClientId"];
            agentId: components["schemas"]["UUID"];
            authMethod: components["schemas"]["AuthMethod"];
            /** @enum {string} */
            status: "active" | "revoked";
            createdAt: components["schemas"]["Time"];
            expiresAt?: components["schemas"]["CredentialEnd"];
            revokedAt?: components["schemas"]["Time"];
            lastUsedAt?: components["schemas"]["Time"];
            previousSecretExpiresAt?: components["schemas"]["PreviousSecretEnd"];
        };
        /**
         * @example {
         *       "credentialId": "7c1f6f5e-1b5d-4a0c-8f3c-2f4f0a9d7b10",
         *       "clientId": "aidp_c_0123456789abcdefghijkl",
         *       "clientSecret": "aidp_sk_0000000000000000000000000000000000000000000000000",
         *       "agentId": "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11",
         *       "authMethod": "client_secret",
         *       "status": "active",
         *       "createdAt": "2026-07-01T12:00:00.000Z"
         *     }
         */
        CredentialWithSecret: {
            credentialId: components["schemas"]["UUID"];
            clientId: components["schemas"]["ClientId"];
            /** @description 256 random bits and a checksum; shown once */
            clientSecret: string;
            agentId: components["schemas"]["UUID"];
            /** @enum {string} */
            authMethod: "client_secret";
            /** @enum {string} */
            status: "active";
            createdAt: components["schemas"]["Time"];
            expiresAt?: components["schemas"]["CredentialEnd"];
            lastUsedAt?: components["schemas"]["Time"];
            previousSecretExpiresAt?: components["schemas"]["PreviousSecretEnd"];
        };
        /**
         * @description the credential, with its secret if it has one
         * @example {
         *       "credentialId": "7c1f6f5e-1b5d-4a0c-8f3c-2f4f0a9d7b10",
         *       "clientId": "aidp_c_0123456789abcdefghijkl",
         *       "clientSecret": "aidp_sk_0000000000000000000000000000000000000000000000000",
         *       "agentId": "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11",
         *       "authMethod": "client_secret",
         *       "status": "active",
         *       "createdAt": "2026-07-01T12:00:00.000Z"
         *     }
         */
        NewCredentialAnswer: {
            credentialId: components["schemas"]["UUID"];
            clientId: components["schemas"]["ClientId"];
            /** @description 256 random bits and a checksum; shown once; absent with private_key_jwt */
            clientSecret?: string;
            agentId: components["schemas"]["UUID"];
            authMethod: components["schemas"]["AuthMethod"];
            /** @enum {string} */
            status: "active" | "revoked";
            createdAt: components["schemas"]["Time"];
            expiresAt?: components["schemas"]["CredentialEnd"];
            revokedAt?: components["schemas"]["Time"];
            lastUsedAt?: components["schemas"]["Time"];
            previousSecretExpiresAt?: components["schemas"]["PreviousSecretEnd"];
        };
        CredentialList: {
            data: components["schemas"]["Credential"][];
            total: components["schemas"]["Total"];
            page: components["schemas"]["PageNumber"];
            limit: components["schemas"]["PageLimit"];
        };
        /**
         * @description limits the organization lives under
         * @enum {string}
         */
        Plan: "free" | "custom";
        /**
         * @description printable
         * @example Acme Ltd
         */
        OrganizationName: string;
        /**
         * Format: int64
         * @description how long a client secret is good after it was made or rotated, in seconds: 0, no limit, or 1 day to 10 years.
         *     It holds at once, for secrets that are older already, too
         * @default 0
         * @example 7776000
         */
        MaxCredentialAge: number;
        NewOrganization: {
            organizationId: components["schemas"]["OrganizationId"];
            name: components["schemas"]["OrganizationName"];
            plan?: components["schemas"]["Plan"];
            maxCredentialAge?: components["schemas"]["MaxCredentialAge"];
            /** @description admin@localhost when absent */
            administratorEmail?: components["schemas"]["Email"];
        };
        /** @description at least one member */
        OrganizationPatch: {
            name?: components["schemas"]["OrganizationName"];
            plan?: components["schemas"]["Plan"];
            maxCredentialAge?: components["schemas"]["MaxCredentialAge"];
        };
        /**
         * @example {
         *       "organizationId": "acme",
         *       "name": "Acme Ltd",
         *       "plan": "free",
         *       "maxCredentialAge": 0,
         *       "createdAt": "2026-07-01T12:00:00.000Z",
         *       "updatedAt": "2026-07-01T12:00:00.000Z"
         *     }
         */
        Organization: {
            organizationId: components["schemas"]["OrganizationId"];
            name: components["schemas"]["OrganizationName"];
            plan: components["schemas"]["Plan"];
            maxCredentialAge: components["schemas"]["MaxCredentialAge"];
            createdAt: components["schemas"]["Time"];
            updatedAt: components["schemas"]["Time"];
        };
        OrganizationUsage: {
            organizationId: components["schemas"]["OrganizationId"];
            /** @description UTC calendar month */
            month: string;
            /** @description agents that are not decommissioned */
            agentsUsed: number;
            /** @description 0 is no limit */
            agentsLimit: number;
            /**
             * Format: int64
             * @description issued in the month to all its agents
             */
            tokensUsed: number;
            /** @description what each agent may get in a month, as its own usage counts; 0 is no limit */
            tokensLimitPerAgent: number;
            /** @description when the next month begins */
            resetsAt: components["schemas"]["Time"];
            /**
             * @description the agents, active and suspended, that were issued the most tokens in the month, and so are nearest to their limit; most first.
             *     Where more than 100 agents are within 3 % of one number, it may leave out one of these for another
             */
            mostTokens: components["schemas"]["AgentTokens"][];
        };
        AgentTokens: {
            agentId: components["schemas"]["UUID"];
            email: components["schemas"]["Email"];
            /** @enum {string} */
            status: "active" | "suspended";
            /**
             * Format: int64
             * @description issued in the month
             */
            tokensUsed: number;
        };
        CreatedOrganization: {
            organization: components["schemas"]["Organization"];
            administrator: components["schemas"]["Agent"];
            credential: components["schemas"]["CredentialWithSecret"];
        };
        OrganizationList: {
            data: components["schemas"]["Organization"][];
            total: components["schemas"]["Total"];
            page: components["schemas"]["PageNumber"];
            limit: components["schemas"]["PageLimit"];
        };
        /**
         * @description dotted, noun first
         * @example token.issued
         */
        AuditAction: string;
        /** @enum {string} */
        AuditOutcome: "success" | "failure" | "denied";
        /** Format: int64 */
        LeafIndex: number;
        /** Format: int64 */
        TreeSize: number;
        /** @description base64 of 32 bytes */
        Hash: string;
        /**
         * @example {
         *       "eventId": "0197c0de-0000-7000-8000-000000000001",
         *       "sequence": 7,
         *       "organizationId": "default",
         *       "agentId": "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11",
         *       "action": "token.issued",
         *       "outcome": "success",
         *       "ipAddress": "192.0.2.7",
         *       "metadata": {
         *         "jti": "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001",
         *         "scope": "notes:read"
         *       },
         *       "timestamp": "2026-07-01T12:00:00.000Z"
         *     }
         */
        AuditEvent: {
            eventId: components["schemas"]["UUID"];
            /** @description leaf index in the tree */
            sequence: components["schemas"]["LeafIndex"];
            organizationId: components["schemas"]["OrganizationId"];
            /** @description who acted; absent when unknown */
            agentId?: string;
            action: components["schemas"]["AuditAction"];
            outcome: components["schemas"]["AuditOutcome"];
            /** @description lower_snake; absent on success */
            reason?: string;
            ipAddress?: string;
            userAgent?: string;
            requestId?: string;
            metadata?: {
                [key: string]: unknown;
            };
            timestamp: components["schemas"]["Time"];
        };
        AuditList: {
            data: components["schemas"]["AuditEvent"][];
            /** @description absent on the last page */
            nextCursor?: string;
            /** @description of a search by `q`, when the last event happened that was looked at; absent when there was none */
            scannedTo?: components["schemas"]["Time"];
        };
        /**
         * @example {
         *       "leafIndex": 0,
         *       "treeSize": 1,
         *       "leafHash": "n0h2FyDSiU8YDYYHBy5dKBBiHGp3pLm5tOBcfhpYyHM=",
         *       "rootHash": "n0h2FyDSiU8YDYYHBy5dKBBiHGp3pLm5tOBcfhpYyHM=",
         *       "hashes": []
         *     }
         */
        InclusionProof: {
            leafIndex: components["schemas"]["LeafIndex"];
            treeSize: components["schemas"]["TreeSize"];
            leafHash: components["schemas"]["Hash"];
            rootHash: components["schemas"]["Hash"];
            hashes: components["schemas"]["Hash"][];
        };
        /**
         * @example {
         *       "firstSize": 1,
         *       "secondSize": 1,
         *       "firstRoot": "n0h2FyDSiU8YDYYHBy5dKBBiHGp3pLm5tOBcfhpYyHM=",
         *       "secondRoot": "n0h2FyDSiU8YDYYHBy5dKBBiHGp3pLm5tOBcfhpYyHM=",
         *       "hashes": []
         *     }
         */
        ConsistencyProof: {
            firstSize: components["schemas"]["TreeSize"];
            secondSize: components["schemas"]["TreeSize"];
            firstRoot: components["schemas"]["Hash"];
            secondRoot: components["schemas"]["Hash"];
            hashes: components["schemas"]["Hash"][];
        };
        Ingested: {
            /**
             * Format: int64
             * @description where the sidecar goes on
             */
            nextSequence: number;
            ingested: number;
            /** @description known already */
            skipped: number;
        };
        /** @enum {string} */
        RevocationType: "agent" | "credential" | "organization" | "kid" | "jti";
        RevocationEntry: {
            /** Format: int64 */
            seq: number;
            type: components["schemas"]["RevocationType"];
            id: string;
            /**
             * Format: int64
             * @description agent, credential, organization: tokens with a lower rev member are dead
             */
            epoch?: number;
            /**
             * Format: int64
             * @description jti: Unix seconds after which the entry may be forgotten
             */
            exp?: number;
            reason: string;
            at: components["schemas"]["Time"];
        };
        RevocationPage: {
            /** @description names this feed; another one means start over */
            epoch: string;
            cursor: string;
            entries: components["schemas"]["RevocationEntry"][];
        };
        NewRevocation: {
            type: components["schemas"]["RevocationType"];
            /** @description agentId, credentialId or clientId, organizationId, kid or jti */
            id: string;
            /**
             * @description why; stands in the audit log alone: the feed says `revoked`
             * @default revoked
             */
            reason?: components["schemas"]["Reason"];
        };
        /** @description why, in printable ASCII; stands in the audit log, as `metadata.reason` of the event */
        Reason: string;
        RevocationPreview: {
            /** @enum {string} */
            type: "agent" | "credential" | "organization" | "kid";
            /** @description as the feed would name it: of a credential its client id */
            id: string;
            /** @description of the subject; absent of a key: everybody has its tokens */
            organizationId?: components["schemas"]["OrganizationId"];
            at: components["schemas"]["Time"];
            /**
             * Format: int64
             * @description issued and neither expired nor revoked
             */
            liveTokens: number;
            /**
             * @description `exact`; `at_least` where the agent has more tokens than are looked at; `at_most` for an organization or a key, where
             *     tokens of agents and credentials that were cut off by themselves may be counted, and past 1,000 tokens shorter-lived ones
             * @enum {string}
             */
            bound: "exact" | "at_least" | "at_most";
            /**
             * Format: int64
             * @description active agents whose tokens die
             */
            agents: number;
            /**
             * Format: int64
             * @description live credentials whose tokens die
             */
            credentials: number;
            /**
             * Format: int64
             * @description connected sidecars of the organization
             */
            sidecars: number;
        };
        KeyList: {
            data: components["schemas"]["Key"][];
            /** @description the public key of the audit log's checkpoints, as C2SP signed-note has it; give it to monitors, and to `agentidp audit verify --export` */
            verifierKey: string;
        };
        Key: {
            kid: string;
            /** @enum {string} */
            alg: "RS256";
            bits: number;
            /** @enum {string} */
            status: "next" | "active" | "retired";
            createdAt: components["schemas"]["Time"];
            /** @description when a next key is to sign */
            activateAt?: components["schemas"]["Time"];
            activatedAt?: components["schemas"]["Time"];
            /** @description of the active key, in the list: when another is to sign, by the schedule or because it was asked for; absent when neither says so */
            rotateAt?: components["schemas"]["Time"];
            retiredAt?: components["schemas"]["Time"];
            /** @description of a retired key, in the list: when it leaves the JWKS */
            leavesAt?: components["schemas"]["Time"];
        };
        KeyRotation: {
            /**
             * @description revoke the key that signs and every token it signed
             * @default false
             */
            emergency?: boolean;
            /** @description of an emergency; for the audit log */
            reason?: components["schemas"]["Reason"];
        };
        SidecarList: {
            data: components["schemas"]["Sidecar"][];
            total: components["schemas"]["Total"];
            page: components["schemas"]["PageNumber"];
            limit: components["schemas"]["PageLimit"];
        };
        /**
         * @example {
         *       "sidecarId": "5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d",
         *       "agentId": "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11",
         *       "organizationId": "default",
         *       "version": "0.1.0",
         *       "agentEmail": "edge@example.com",
         *       "name": "notes-edge-1",
         *       "policyRevision": "sha256-1f2e3d",
         *       "feedCursor": "5d9a1f.8",
         *       "feedSequence": 8,
         *       "feedCursorAt": "2026-07-01T12:00:00.000Z",
         *       "nextSequence": 42,
         *       "lastDecisionAt": "2026-07-01T12:00:00.000Z",
         *       "seenAt": "2026-07-01T12:00:00.000Z",
         *       "connected": true
         *     }
         */
        Sidecar: {
            sidecarId: components["schemas"]["UUID"];
            /** @description whose credential it uses */
            agentId: components["schemas"]["UUID"];
            /** @description of that agent */
            agentEmail?: components["schemas"]["Email"];
            organizationId: components["schemas"]["OrganizationId"];
            /** @description what it calls itself, by `X-Sidecar-Name`; absent when it does not */
            name?: string;
            version?: string;
            policyRevision?: string;
            /** @description the cursor of the revocation feed that it last acknowledged */
            feedCursor?: string;
            /**
             * Format: int64
             * @description the last revocation that it has confirmed: the sequence of `feedCursor`; absent when that is none of this feed
             */
            feedSequence?: number;
            /** @description when it first acknowledged `feedCursor`: revocations up to it are in force there since then or longer */
            feedCursorAt?: components["schemas"]["Time"];
            /**
             * Format: int64
             * @description of its decision stream
             */
            nextSequence: number;
            lastDecisionAt?: components["schemas"]["Time"];
            seenAt: components["schemas"]["Time"];
            /** @description it was seen less than 5 minutes ago, as `now.sidecars.connected` of the stats counts */
            connected: boolean;
        };
        /**
         * @default 1h
         * @enum {string}
         */
        StatsStep: "1m" | "1h" | "1d";
        Stats: {
            /** @description when the first bucket begins */
            from: components["schemas"]["Time"];
            /** @description when the last one ends */
            to: components["schemas"]["Time"];
            step: components["schemas"]["StatsStep"];
            /** @description since when buckets of this step are whole; of older ones nothing says that nothing happened */
            keptFrom: components["schemas"]["Time"];
            /** @description whose; absent: the whole installation */
            organizationId?: components["schemas"]["OrganizationId"];
            buckets: {
                /** @description when it begins */
                at: components["schemas"]["Time"];
                counts: components["schemas"]["StatsCounts"];
            }[];
            totals: components["schemas"]["StatsCounts"];
            topDenied: components["schemas"]["StatsTopDenied"];
            now: components["schemas"]["StatsNow"];
        };
        /** @description what the newest denials of sidecars were about, up to 1,000 events of the window; highest counts first, at most ten */
        StatsTopDenied: {
            /** @description how far back was looked: `from` when complete */
            since: components["schemas"]["Time"];
            /** @description all denials of the window were looked at */
            complete: boolean;
            /**
             * Format: int64
             * @description that were looked at
             */
            denials: number;
            capabilities: {
                /** @description that the route demanded */
                capability: string;
                /** Format: int64 */
                count: number;
            }[];
            agents: {
                agentId: components["schemas"]["UUID"];
                /** Format: int64 */
                count: number;
            }[];
        };
        /** @description sorted by action and outcome */
        StatsCounts: {
            action: components["schemas"]["AuditAction"];
            outcome: components["schemas"]["AuditOutcome"];
            /** Format: int64 */
            count: number;
        }[];
        /** @description what there is at the time of the answer, whatever was asked for */
        StatsNow: {
            at: components["schemas"]["Time"];
            agents: {
                /** @description where the active and suspended ones run */
                environments: {
                    development: components["schemas"]["Quantity"];
                    staging: components["schemas"]["Quantity"];
                    production: components["schemas"]["Quantity"];
                };
                active: components["schemas"]["Quantity"];
                suspended: components["schemas"]["Quantity"];
                decommissioned: components["schemas"]["Quantity"];
            };
            credentials: {
                /** @description neither revoked nor past their end */
                active: components["schemas"]["Quantity"];
                /** @description of active agents, ending within 14 days */
                expiring: components["schemas"]["Quantity"];
            };
            /**
             * Format: int64
             * @description issued in this UTC calendar month
             */
            tokensThisMonth: number;
            /** @description by when they were last seen; an idle sidecar is written down once a minute */
            sidecars: {
                /** @description within 5 minutes */
                connected: components["schemas"]["Quantity"];
                lastHour: components["schemas"]["Quantity"];
            };
        };
        /** Format: int64 */
        Quantity: number;
        /**
         * @description names the files of a policy
         * @example 5f1e9d4b0c7a4e1f8b3d2c6a9e0f1b2c
         */
        PolicyRevision: string;
        Policy: {
            revision: components["schemas"]["PolicyRevision"];
            /**
             * Format: int64
             * @description raised by every reload since the start of the replica
             */
            epoch: number;
            loadedAt: components["schemas"]["Time"];
            /**
             * @description `folder`: AGENTIDP_POLICY_DIR
             * @enum {string}
             */
            source: "builtIn" | "folder";
            /** @description of the policy's own unit tests; all passed before it took force */
            tests: number;
            files: {
                name: string;
                sha256: string;
                text: string;
            }[];
            /** @description the data document */
            data: {
                [key: string]: unknown;
            };
            /**
             * Format: int64
             * @description reloads that kept the old policy
             */
            reloadFailures: number;
            /** @description of the latest reload, when it failed; shown to the operator's organization */
            lastError?: {
                message: string;
                at: components["schemas"]["Time"];
            };
        };
        /** @description what a policy sees as `input` */
        PolicyInput: {
            /** @description the caller; empty on a public route without a token */
            agent?: {
                id?: string;
                organizationId?: string;
                clientId?: string;
            };
            token?: {
                jti?: string;
                aud?: string[];
                scope?: string[];
                /**
                 * Format: int64
                 * @description Unix seconds
                 */
                exp?: number;
            };
            request?: {
                method?: string;
                host?: string;
                /** @description without the query */
                path?: string;
                /** @description the client's address */
                peer?: string;
            };
            route: {
                /** @description an operationId at the management API, the pattern of the path at a sidecar */
                id: string;
                /** @description what the route demands; `public`: nothing */
                capability: string;
            };
            /**
             * @description the JSON-RPC message in the body, at a sidecar's routes with a `protocol`. A sidecar asks twice then, the second time with what the message demands as
             *     `route.capability`. Left out, the body is no message
             */
            rpc?: {
                /** @enum {string} */
                protocol: "mcp" | "a2a";
                /** @description as `tools/call`; empty of a response */
                method: string;
                /** @description of the tool or prompt */
                name?: string;
            };
        };
        PolicyDecision: {
            allow: boolean;
            reason: string;
            /** @description what must be seen to before the permission is acted on */
            obligations?: {
                [key: string]: unknown;
            };
            revision: components["schemas"]["PolicyRevision"];
            durationMs: number;
            /** @description why the policy could not decide */
            error?: string;
        };
        Health: {
            /** @enum {string} */
            status: "ok" | "degraded" | "unavailable";
            version: string;
            dependencies: {
                [key: string]: components["schemas"]["Dependency"];
            };
        };
        Dependency: {
            /** @enum {string} */
            status: "ok" | "degraded" | "unavailable";
            /** @description why it is not ok */
            reason?: string;
            /** @description what serves it */
            backend?: string;
        };
    };
}
export type Uuid = components['schemas']['UUID'];
export type Time = components['schemas']['Time'];
export type TimeInput = components['schemas']['TimeInput'];
export type Label = components['schemas']['Label'];
export type ScopeText = components['schemas']['ScopeText'];
export type AssertionAlgorithms = components['schemas']['AssertionAlgorithms'];
export type ClientAssertionType = components['schemas']['ClientAssertionType'];
export type ClientAssertion = components['schemas']['ClientAssertion'];
export type TokenRequest = components['schemas']['TokenRequest'];
export type TokenResponse = components['schemas']['TokenResponse'];
export type TokenReference = components['schemas']['TokenReference'];
export type TokenRevocation = components['schemas']['TokenRevocation'];
export type Introspection = components['schemas']['Introspection'];
export type Audience = components['schemas']['Audience'];
export type OAuthError = components['schemas']['OAuthError'];
export type StatusLists = components['schemas']['StatusLists'];
export type Jwks = components['schemas']['JWKS'];
export type Jwk = components['schemas']['JWK'];
export type Metadata = components['schemas']['Metadata'];
export type Error = components['schemas']['Error'];
export type OrganizationId = components['schemas']['OrganizationId'];
export type ClientId = components['schemas']['ClientId'];
export type Email = components['schemas']['Email'];
export type AgentType = components['schemas']['AgentType'];
export type Version = components['schemas']['Version'];
export type Capability = components['schemas']['Capability'];
export type Owner = components['schemas']['Owner'];
export type DeploymentEnv = components['schemas']['DeploymentEnv'];
export type AgentStatus = components['schemas']['AgentStatus'];
export type AgentMetadata = components['schemas']['AgentMetadata'];
export type AgentKeys = components['schemas']['AgentKeys'];
export type AgentKey = components['schemas']['AgentKey'];
export type AgentKeysUri = components['schemas']['AgentKeysUri'];
export type Capabilities = components['schemas']['Capabilities'];
export type NewAgent = components['schemas']['NewAgent'];
export type AgentPatch = components['schemas']['AgentPatch'];
export type Agent = components['schemas']['Agent'];
export type AgentList = components['schemas']['AgentList'];
export type AgentSort = components['schemas']['AgentSort'];
export type Total = components['schemas']['Total'];
export type PageNumber = components['schemas']['PageNumber'];
export type PageLimit = components['schemas']['PageLimit'];
export type Usage = components['schemas']['Usage'];
export type AuthMethod = components['schemas']['AuthMethod'];
export type NewCredential = components['schemas']['NewCredential'];
export type Rotation = components['schemas']['Rotation'];
export type CredentialEnd = components['schemas']['CredentialEnd'];
export type PreviousSecretEnd = components['schemas']['PreviousSecretEnd'];
export type Credential = components['schemas']['Credential'];
export type CredentialWithSecret = components['schemas']['CredentialWithSecret'];
export type NewCredentialAnswer = components['schemas']['NewCredentialAnswer'];
export type CredentialList = components['schemas']['CredentialList'];
export type Plan = components['schemas']['Plan'];
export type OrganizationName = components['schemas']['OrganizationName'];
export type MaxCredentialAge = components['schemas']['MaxCredentialAge'];
export type NewOrganization = components['schemas']['NewOrganization'];
export type OrganizationPatch = components['schemas']['OrganizationPatch'];
export type Organization = components['schemas']['Organization'];
export type OrganizationUsage = components['schemas']['OrganizationUsage'];
export type AgentTokens = components['schemas']['AgentTokens'];
export type CreatedOrganization = components['schemas']['CreatedOrganization'];
export type OrganizationList = components['schemas']['OrganizationList'];
export type AuditAction = components['schemas']['AuditAction'];
export type AuditOutcome = components['schemas']['AuditOutcome'];
export type LeafIndex = components['schemas']['LeafIndex'];
export type TreeSize = components['schemas']['TreeSize'];
export type Hash = components['schemas']['Hash'];
export type AuditEvent = components['schemas']['AuditEvent'];
export type AuditList = components['schemas']['AuditList'];
export type InclusionProof = components['schemas']['InclusionProof'];
export type ConsistencyProof = components['schemas']['ConsistencyProof'];
export type Ingested = components['schemas']['Ingested'];
export type RevocationType = components['schemas']['RevocationType'];
export type RevocationEntry = components['schemas']['RevocationEntry'];
export type RevocationPage = components['schemas']['RevocationPage'];
export type NewRevocation = components['schemas']['NewRevocation'];
export type Reason = components['schemas']['Reason'];
export type RevocationPreview = components['schemas']['RevocationPreview'];
export type KeyList = components['schemas']['KeyList'];
export type Key = components['schemas']['Key'];
export type KeyRotation = components['schemas']['KeyRotation'];
export type SidecarList = components['schemas']['SidecarList'];
export type Sidecar = components['schemas']['Sidecar'];
export type StatsStep = components['schemas']['StatsStep'];
export type Stats = components['schemas']['Stats'];
export type StatsTopDenied = components['schemas']['StatsTopDenied'];
export type StatsCounts = components['schemas']['StatsCounts'];
export type StatsNow = components['schemas']['StatsNow'];
export type Quantity = components['schemas']['Quantity'];
export type PolicyRevision = components['schemas']['PolicyRevision'];
export type Policy = components['schemas']['Policy'];
export type PolicyInput = components['schemas']['PolicyInput'];
export type PolicyDecision = components['schemas']['PolicyDecision'];
export type Health = components['schemas']['Health'];
export type Dependency = components['schemas']['Dependency'];
