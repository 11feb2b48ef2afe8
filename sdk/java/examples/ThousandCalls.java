import io.github.sentryagent.agentidp.AuthorizedHttpClient;
import io.github.sentryagent.agentidp.Config;
import io.github.sentryagent.agentidp.TokenSource;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * How long calls take with a cached token, one after the other and then 20 at a time:
 * {@code java ThousandCalls.java RESOURCE URL CALLS}, the credential in the environment.
 */
final class ThousandCalls {
    private ThousandCalls() {}

    public static void main(String[] args) throws Exception {
        TokenSource tokens = new TokenSource(Config.fromEnvironment().withResources(args[0]));
        tokens.token();
        HttpClient client = new AuthorizedHttpClient(tokens);
        HttpRequest request = HttpRequest.newBuilder(URI.create(args[1])).build();
        int calls = Integer.parseInt(args[2]);
        Callable<Void> call = () -> {
            var answer = client.send(request, BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new IllegalStateException(answer.statusCode() + " " + answer.body());
            }
            return null;
        };
        for (int width : List.of(1, 20)) {
            ExecutorService threads = Executors.newFixedThreadPool(width);
            long began = System.nanoTime();
            List<Future<Void>> answers = new ArrayList<>();
            for (int i = 0; i < calls; i++) {
                answers.add(threads.submit(call));
            }
            for (Future<Void> answer : answers) {
                answer.get();
            }
            double took = (System.nanoTime() - began) / 1e6;
            threads.shutdown();
            System.out.printf("%d calls, %d at a time: %.0f ms, %.2f ms a call%n", calls, width, took, took / calls);
        }
    }
}
