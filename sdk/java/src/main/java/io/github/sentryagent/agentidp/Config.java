package io.github.sentryagent.agentidp;

import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;

/**
 * Who asks, and for what. Immutable; no part of it is ever printed.
 *
 * <pre>{@code
 * Config config = Config.builder()
 *         .url("https://idp.example.com")
 *         .clientId(id)
 *         .clientSecret(secret)
 *         .resources("https://notes.example.com")
 *         .build();
 * }</pre>
 */
public final class Config {
    private final URI url;
    private final String clientId;
    private final ClientAuthentication authentication;
    private final List<String> resources;
    private final List<String> scopes;
    private final HttpClient httpClient;
    final InstantSource clock;
    final Retry retry;

    Config(
            URI url,
            String clientId,
            ClientAuthentication authentication,
            List<String> resources,
            List<String> scopes,
            HttpClient httpClient,
            InstantSource clock,
            Retry retry) {
        this.url = url;
        this.clientId = clientId;
        this.authentication = authentication;
        this.resources = List.copyOf(resources);
        this.scopes = List.copyOf(scopes);
        this.httpClient = httpClient == null ? Transport.defaultClient() : httpClient;
        this.clock = clock;
        this.retry = retry;
    }

    /**
     * Begins a configuration.
     *
     * @return without anything set
     */
    public static ConfigBuilder builder() {
        return new ConfigBuilder();
    }

    /**
     * Reads the environment: see {@link ConfigBuilder#environment}.
     *
     * @return with a credential
     * @throws ConfigurationException naming every problem
     */
    public static Config fromEnvironment() {
        return builder().environment(System.getenv()).build();
    }

    /**
     * Reads a file: see {@link ConfigBuilder#credentialsFile}.
     *
     * @param path of the file
     * @return with a credential
     * @throws ConfigurationException naming every problem
     */
    public static Config fromFile(Path path) {
        return builder().credentialsFile(path).build();
    }

    /**
     * The same for other APIs (RFC 8707).
     *
     * @param others absolute URIs; none: the IdP's own management API
     * @return a copy
     */
    public Config withResources(String... others) {
        return new ConfigBuilder(this).resources(others).build();
    }

    /**
     * The same for other capabilities.
     *
     * @param others such as {@code notes:read}; none: all that the agent holds
     * @return a copy
     */
    public Config withScopes(String... others) {
        return new ConfigBuilder(this).scopes(others).build();
    }

    /**
     * The IdP's address, which is its issuer.
     *
     * @return without a slash at its end
     */
    public String url() {
        return url.toString();
    }

    /**
     * The client id.
     *
     * @return empty when the configuration is for public calls only
     */
    public Optional<String> clientId() {
        return Optional.ofNullable(clientId);
    }

    /**
     * The APIs that tokens are for.
     *
     * @return none: the management API
     */
    public List<String> resources() {
        return resources;
    }

    /**
     * The capabilities that are asked for.
     *
     * @return none: all
     */
    public List<String> scopes() {
        return scopes;
    }

    static String withoutSlash(String url) {
        return url.endsWith("/") ? url.substring(0, url.length() - 1) : url;
    }

    /** Null unless it is absolute, of http or https, without user and fragment. */
    static URI httpAddress(String text) {
        URI address;
        try {
            address = URI.create(text);
        } catch (IllegalArgumentException e) {
            return null;
        }
        boolean http = "https".equals(address.getScheme()) || "http".equals(address.getScheme());
        boolean plain = address.getRawUserInfo() == null && address.getRawFragment() == null;
        return http && plain && address.getHost() != null ? address : null;
    }

    Optional<ClientAuthentication> authentication() {
        return Optional.ofNullable(authentication);
    }

    HttpClient httpClient() {
        return httpClient;
    }

    /** Without the credential. */
    @Override
    public String toString() {
        return "Config[url=" + url + ", clientId=" + clientId + ", resources=" + resources + ", scopes=" + scopes + "]";
    }
}
