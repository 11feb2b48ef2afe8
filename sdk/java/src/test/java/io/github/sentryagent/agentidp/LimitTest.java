package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against an IdP of its own: the stage has no limit. */
class LimitTest {
    @TempDir
    private Path folder;

    @Test
    void isToldOfTheLimit() throws Exception {
        String address = free();
        Path data = Files.createDirectories(folder.resolve("limited"));
        ProcessBuilder command = new ProcessBuilder(Stage.program("agentidp").toString(), "serve")
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("limited.log").toFile());
        command.environment().keySet().removeIf(name -> name.startsWith("AGENTIDP_"));
        command.environment()
                .putAll(Map.of(
                        "AGENTIDP_ADDR",
                        address,
                        "AGENTIDP_ADMIN_ADDR",
                        free(),
                        "AGENTIDP_DATA_DIR",
                        data.toString(),
                        "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE",
                        "5"));
        Process idp = command.start();
        try {
            String url = "http://" + address;
            ManagementClient open =
                    new ManagementClient(Config.builder().url(url).build());
            Stage.untilWell(open);
            Config config = Config.builder()
                    .url(url)
                    .credentialsFile(data.resolve("admin.json"))
                    .retry(Vectors.hasty())
                    .build();
            TokenSource kept = new TokenSource(config);
            AccessToken token = kept.token();
            ManagementClient client = new ManagementClient(config);
            ApiException refused = assertThrows(ApiException.class, () -> {
                for (int i = 0; i < 20; i++) {
                    client.keys().list();
                }
            });
            assertEquals(429, refused.status());
            assertEquals(ErrorCode.RATE_LIMITED, refused.code());
            assertTrue(refused.temporary());
            assertFalse(refused.retryAfter().isZero());
            ApiException limited = assertThrows(ApiException.class, () -> {
                for (int i = 0; i < 20; i++) {
                    new TokenSource(config).token();
                }
            });
            assertEquals(OAuthErrorCode.RATE_LIMITED, limited.code());
            assertEquals(token, kept.token());
        } finally {
            idp.destroy();
            idp.waitFor();
        }
    }

    private static String free() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return "127.0.0.1:" + socket.getLocalPort();
        }
    }
}
