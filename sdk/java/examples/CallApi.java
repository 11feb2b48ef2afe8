import io.github.sentryagent.agentidp.AuthorizedHttpClient;
import io.github.sentryagent.agentidp.Config;
import io.github.sentryagent.agentidp.TokenSource;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** An agent calls a protected API: {@code java CallApi.java RESOURCE URL}, its credential in the environment. */
final class CallApi {
    private CallApi() {}

    public static void main(String[] args) throws Exception {
        Config config = Config.fromEnvironment().withResources(args[0]);
        HttpClient client = new AuthorizedHttpClient(new TokenSource(config));
        HttpRequest request = HttpRequest.newBuilder(URI.create(args[1])).build();
        var answer = client.send(request, BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
