package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.sentryagent.agentidp.TestServer.Reply;
import io.github.sentryagent.agentidp.servlet.BearerFilter;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The filter in a real container. */
class BearerFilterTest {
    private final JsonNode vectors = Vectors.read("tokens.json");
    private final AtomicBoolean away = new AtomicBoolean();
    private final HttpClient client = HttpClient.newHttpClient();
    private TestServer idp;
    private Servlets api;

    @TempDir
    private Path folder;

    /** Says who calls. */
    private static final class Caller extends HttpServlet {
        private static final long serialVersionUID = 1L;

        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            response.getWriter()
                    .print(request.getUserPrincipal().getName().equals(request.getRemoteUser())
                            + " " + request.isUserInRole("notes:write") + " " + request.isUserInRole("notes:drop")
                            + " " + request.getAuthType() + " "
                            + BearerFilter.token(request).jti());
        }
    }

    private void serve(String... capabilities) throws Exception {
        Verifier verifier = Verifier.builder()
                .issuer(vectors.get("issuer").asText())
                .audience(vectors.get("audience").asText())
                .httpClient(new Elsewhere(idp))
                .clock(() -> Instant.ofEpochSecond(vectors.get("now").asLong()))
                .build();
        api = new Servlets(folder, new Caller(), new BearerFilter(verifier, capabilities));
    }

    @BeforeEach
    void start() {
        String keys = null;
        for (JsonNode one : Vectors.read("jwks.json").get("documents")) {
            if (one.get("name").equals(vectors.get("jwks"))) {
                keys = Vectors.body(one);
            }
        }
        Reply document = Reply.json(200, keys);
        idp = new TestServer(request -> away.get() ? Reply.NONE : document);
    }

    @AfterEach
    void stop() throws Exception {
        api.close();
        idp.close();
    }

    private HttpResponse<String> get(String... headers) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(api.url() + "/notes"));
        if (headers.length > 0) {
            request.headers(headers);
        }
        return client.send(request.build(), BodyHandlers.ofString());
    }

    private void refused(HttpResponse<String> answer, int status, String challenge, String reason) {
        assertEquals(status, answer.statusCode());
        assertEquals(challenge, answer.headers().firstValue("WWW-Authenticate").orElse(""));
        assertTrue(answer.body().contains("\"reason\":\"" + reason + "\""), answer.body());
        assertEquals(
                "application/json",
                answer.headers().firstValue("Content-Type").orElse("").split(";")[0]);
    }

    private String token(int index) {
        return vectors.get("cases").get(index).get("token").asText();
    }

    @Test
    void judges() throws Exception {
        serve("notes:read");
        HttpResponse<String> good = get("Authorization", "bearer " + token(0));
        assertEquals("true true false Bearer jti-1", good.body());
        refused(get(), 401, "Bearer", "token_missing");
        refused(get("Authorization", "Basic YTpi"), 401, "Bearer error=\"invalid_token\"", "scheme_unsupported");
        refused(get("Authorization", "Bearer"), 401, "Bearer error=\"invalid_token\"", "scheme_unsupported");
        refused(get("Authorization", "Bearer a.b.c"), 401, "Bearer error=\"invalid_token\"", "malformed");
        refused(
                get("Authorization", "Bearer " + token(0), "Authorization", "Bearer " + token(0)),
                401,
                "Bearer error=\"invalid_token\"",
                "credential_duplicate");
    }

    @Test
    void wantsCapabilities() throws Exception {
        serve("notes:read", "notes:drop");
        refused(
                get("Authorization", "Bearer " + token(0)),
                403,
                "Bearer error=\"insufficient_scope\", scope=\"notes:read notes:drop\"",
                "capability_missing");
    }

    @Test
    void cannotTell() throws Exception {
        away.set(true);
        serve();
        HttpResponse<String> answer = get("Authorization", "Bearer " + token(0));
        refused(answer, 503, "", "keys_stale");
        assertEquals("1", answer.headers().firstValue("Retry-After").orElse(""));
    }
}
