/**
 * The Java SDK of AgentIdP. An agent gets an access token with its credential, keeps it fresh and calls APIs with it; an
 * API verifies tokens; an administrator manages agents.
 *
 * <pre>{@code
 * Config config = Config.fromEnvironment().withResources("https://notes.example.com");
 * HttpClient client = new AuthorizedHttpClient(new TokenSource(config));
 * HttpResponse<String> answer = client.send(
 *         HttpRequest.newBuilder(URI.create("https://notes.example.com/notes")).build(),
 *         HttpResponse.BodyHandlers.ofString());
 * }</pre>
 */
package io.github.sentryagent.agentidp;
