package io.github.sentryagent.agentidp;

import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Collects a configuration; {@link #build()} checks it whole. */
public final class ConfigBuilder {
    private String url = "";
    private String clientId;
    private String clientSecret;
    private String privateKey;
    private String keyId;
    private boolean required;
    private ClientAuthentication ready;
    private List<String> resources = List.of();
    private List<String> scopes = List.of();
    private HttpClient httpClient;
    private InstantSource clock = InstantSource.system();
    private Retry retry = Retry.standard();
    private final List<String> problems = new ArrayList<>(); // of what was read

    ConfigBuilder() {}

    /** With what a configuration has. */
    ConfigBuilder(Config config) {
        url = config.url();
        clientId = config.clientId().orElse(null);
        ready = config.authentication().orElse(null);
        resources = config.resources();
        scopes = config.scopes();
        httpClient = config.httpClient();
        clock = config.clock;
        retry = config.retry;
    }

    /**
     * Where the IdP is.
     *
     * @param issuer its base URL, which is its issuer: {@code https://idp.example.com}
     * @return this
     */
    public ConfigBuilder url(String issuer) {
        this.url = issuer;
        return this;
    }

    /**
     * Who asks.
     *
     * @param id of the client, {@code aidp_c_…}
     * @return this
     */
    public ConfigBuilder clientId(String id) {
        this.clientId = id;
        return this;
    }

    /**
     * The client's secret.
     *
     * @param secret {@code aidp_sk_…}
     * @return this
     */
    public ConfigBuilder clientSecret(String secret) {
        this.clientSecret = secret;
        return this;
    }

    /**
     * The key that signs client assertions (private_key_jwt), instead of a secret.
     *
     * @param pem PKCS #8: RSA of 2048 to 4096 bits (RS256) or EC on P-256 (ES256)
     * @return this
     */
    public ConfigBuilder privateKey(String pem) {
        this.privateKey = pem;
        return this;
    }

    /**
     * The {@code kid} of the private key.
     *
     * @param kid as the agent's key set has it; without one the RFC 7638 thumbprint
     * @return this
     */
    public ConfigBuilder keyId(String kid) {
        this.keyId = kid;
        return this;
    }

    /**
     * The APIs that the token is for (RFC 8707).
     *
     * @param apis absolute URIs; none: the IdP's own management API
     * @return this
     */
    public ConfigBuilder resources(String... apis) {
        this.resources = List.of(apis);
        return this;
    }

    /**
     * The capabilities that are asked for.
     *
     * @param capabilities such as {@code notes:read}; none: all that the agent holds
     * @return this
     */
    public ConfigBuilder scopes(String... capabilities) {
        this.scopes = List.of(capabilities);
        return this;
    }

    /**
     * What speaks HTTP with the IdP, for a proxy or authorities of your own.
     *
     * @param client must not follow redirects: they would carry credentials elsewhere
     * @return this
     */
    public ConfigBuilder httpClient(HttpClient client) {
        this.httpClient = client;
        return this;
    }

    /**
     * Takes what the environment has, and wants a credential there: {@code AGENTIDP_URL}, {@code AGENTIDP_CLIENT_ID},
     * and one of {@code AGENTIDP_CLIENT_SECRET}, {@code AGENTIDP_CLIENT_SECRET_FILE} and
     * {@code AGENTIDP_PRIVATE_KEY_FILE} with {@code AGENTIDP_KEY_ID}; or {@code AGENTIDP_CREDENTIALS_FILE}. An empty
     * variable is none.
     *
     * @param variables such as {@link System#getenv()}
     * @return this
     */
    public ConfigBuilder environment(Map<String, String> variables) {
        required = true;
        new Environment(variables, problems).into(this);
        return this;
    }

    /**
     * Takes what a JSON file has, and wants a credential there: {@code clientId}, one of {@code clientSecret} and
     * {@code privateKeyFile}, and optionally {@code url} and {@code keyId}. The IdP's answer to a new or rotated
     * credential is such a file.
     *
     * @param path of the file
     * @return this
     */
    public ConfigBuilder credentialsFile(Path path) {
        required = true;
        new CredentialsFile("the credentials file", problems).into(path, this);
        return this;
    }

    ConfigBuilder clock(InstantSource source) {
        this.clock = source;
        return this;
    }

    ConfigBuilder retry(Retry how) {
        this.retry = how;
        return this;
    }

    /**
     * Checks everything.
     *
     * @return the configuration
     * @throws ConfigurationException naming every problem
     */
    public Config build() {
        List<String> all = new ArrayList<>(problems);
        ClientAuthentication authentication = authentication(all);
        URI address = Config.httpAddress(Config.withoutSlash(url));
        if (address == null || address.getRawQuery() != null) {
            all.add("the URL (AGENTIDP_URL) must be the IdP's absolute http(s) address");
        }
        if (httpClient != null && httpClient.followRedirects() != HttpClient.Redirect.NEVER) {
            all.add("the HTTP client follows redirects, which would carry credentials elsewhere");
        }
        if (!all.isEmpty()) {
            throw new ConfigurationException(all, null);
        }
        return new Config(address, clientId, authentication, resources, scopes, httpClient, clock, retry);
    }

    /** Null without a client id: for public calls only. */
    private ClientAuthentication authentication(List<String> all) {
        if (ready != null || !all.isEmpty()) {
            return ready;
        }
        boolean proof = clientSecret != null || privateKey != null;
        if (clientSecret != null && privateKey != null) {
            all.add("a client secret (AGENTIDP_CLIENT_SECRET) and a private key (AGENTIDP_PRIVATE_KEY_FILE)"
                    + " are both set");
        }
        if (clientId == null && (proof || required)) {
            all.add("the client id (AGENTIDP_CLIENT_ID) is missing");
        }
        if (!proof && (clientId != null || required)) {
            all.add("the client secret (AGENTIDP_CLIENT_SECRET) or private key (AGENTIDP_PRIVATE_KEY_FILE)"
                    + " is missing");
        }
        return proof && all.isEmpty() ? parsed(all) : null;
    }

    private ClientAuthentication parsed(List<String> all) {
        if (clientSecret != null) {
            return new ClientAuthentication.Secret(clientSecret);
        }
        try {
            return new ClientAuthentication.PrivateKey(AssertionKey.parse(privateKey, keyId));
        } catch (IllegalArgumentException e) {
            all.add("the private key (AGENTIDP_PRIVATE_KEY_FILE) " + e.getMessage());
            return null;
        }
    }
}
