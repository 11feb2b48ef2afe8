package io.github.sentryagent.agentidp.spring;

import io.github.sentryagent.agentidp.AccessToken;
import io.github.sentryagent.agentidp.TokenSource;
import java.io.IOException;
import org.springframework.http.HttpRequest;
import org.springframework.http.client.ClientHttpRequestExecution;
import org.springframework.http.client.ClientHttpRequestInterceptor;
import org.springframework.http.client.ClientHttpResponse;

/**
 * Gives requests of Spring the source's token: {@code RestClient.builder().requestInterceptor(…)}. After a 401 the token
 * is forgotten and the request, whose body Spring holds in memory, repeated once with a new one.
 */
public final class BearerRequestInterceptor implements ClientHttpRequestInterceptor {
    private final TokenSource tokens;

    /**
     * Makes one.
     *
     * @param tokens for the API that is called
     */
    public BearerRequestInterceptor(TokenSource tokens) {
        this.tokens = tokens;
    }

    @Override
    public ClientHttpResponse intercept(HttpRequest request, byte[] body, ClientHttpRequestExecution execution)
            throws IOException {
        AccessToken token = tokens.token();
        request.getHeaders().setBearerAuth(token.value());
        ClientHttpResponse answer = execution.execute(request, body);
        if (answer.getStatusCode().value() != 401 || !tokens.forgetAfterRefusal(token)) {
            return answer;
        }
        answer.close();
        request.getHeaders().setBearerAuth(tokens.token().value());
        return execution.execute(request, body);
    }
}
