package io.github.sentryagent.agentidp.okhttp;

import io.github.sentryagent.agentidp.AccessToken;
import io.github.sentryagent.agentidp.AgentIdpException;
import io.github.sentryagent.agentidp.TokenSource;
import java.io.IOException;
import okhttp3.Interceptor;
import okhttp3.Request;
import okhttp3.Response;

/**
 * Gives requests of OkHttp the source's token: {@code new OkHttpClient.Builder().addInterceptor(…)}. After a 401 the
 * token is forgotten and the request repeated once with a new one, if its body can be sent again. As an application
 * interceptor it leaves redirects to OkHttp, which takes the token off on the way to another host.
 */
public final class BearerInterceptor implements Interceptor {
    private final TokenSource tokens;

    /**
     * Makes one.
     *
     * @param tokens for the API that is called
     */
    public BearerInterceptor(TokenSource tokens) {
        this.tokens = tokens;
    }

    @Override
    public Response intercept(Chain chain) throws IOException {
        Request request = chain.request();
        AccessToken token = token();
        Response answer = chain.proceed(authorize(request, token));
        boolean repeatable = request.body() == null || !request.body().isOneShot();
        if (answer.code() != 401 || !repeatable || !tokens.forgetAfterRefusal(token)) {
            return answer;
        }
        answer.close();
        return chain.proceed(authorize(request, token()));
    }

    /** OkHttp delivers nothing but an IOException to the caller of an asynchronous call. */
    private AccessToken token() throws IOException {
        try {
            return tokens.token();
        } catch (AgentIdpException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    private static Request authorize(Request request, AccessToken token) {
        return request.newBuilder()
                .header("Authorization", "Bearer " + token.value())
                .build();
    }
}
